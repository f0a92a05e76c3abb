using System.Threading;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Time;
using Blanket.Machine;

namespace Blanket.Core.Scheduling;

/// <summary>The run queues and timers of all CPUs, and what the rest of the hypervisor asks of them.</summary>
public static class Scheduler
{
    private const int TimerCapacity = 8192;

    // How often a CPU looks whether another queue's CPUs have more to do than its own, ns.
    private const ulong BalanceInterval = 30_000_000;

    // Loads count vCPUs a CPU times 64.
    private const int Imbalance = 64;

    private static RunQueue?[]? s_queues;
    private static TimerQueue?[]? s_timers;
    private static ulong[]? s_nextBalance;
    private static int s_cpus;
    private static int s_countedTimers;

    /// <summary>Prepares the queues of so many CPUs; once at boot, in an allocation scope.</summary>
    public static void Initialize(int cpus)
    {
        Host host = new();
        s_cpus = cpus;
        s_queues = new RunQueue?[(cpus + RunQueue.MaximumCpus - 1) / RunQueue.MaximumCpus];
        for (int i = 0; i < s_queues.Length; i++)
        {
            int first = i * RunQueue.MaximumCpus;
            s_queues[i] = new RunQueue(host, first, System.Math.Min(RunQueue.MaximumCpus, cpus - first));
        }

        s_nextBalance = new ulong[s_queues.Length];
        s_timers = new TimerQueue?[cpus];
        for (int i = 0; i < cpus; i++)
        {
            s_timers[i] = new TimerQueue(TimerCapacity);
        }
    }

    /// <summary>CPUs that run vCPUs.</summary>
    public static int CpuCount => s_cpus;

    /// <summary>The run queue of a CPU.</summary>
    public static RunQueue Queue(int cpu) => s_queues![cpu / RunQueue.MaximumCpus]!;

    /// <summary>A CPU's timers.</summary>
    public static TimerQueue Timers(int cpu) => s_timers![cpu]!;

    /// <summary>The vCPU that runs on this CPU.</summary>
    public static Vcpu? Current => Queue(Cpu.Number).Current(Cpu.Number);

    /// <summary>Counts the timers of a domain and its vCPUs, until <see cref="UncountTimers"/>.</summary>
    /// <returns>False when there are too many in the machine: the domain must not run.</returns>
    public static bool CountTimers(int vcpus) => Interlocked.Add(ref s_countedTimers, TimersOf(vcpus)) <= TimerCapacity - OwnTimers;

    // Of the hypervisor itself.
    private const int OwnTimers = 64;

    /// <summary>The domain's timers are gone.</summary>
    public static void UncountTimers(int vcpus) => Interlocked.Add(ref s_countedTimers, -TimersOf(vcpus));

    private static int TimersOf(int vcpus) => vcpus * Vcpu.TimerCount + Watchdogs.Count + DomainShare.TimerCount;

    /// <summary>Arms a timer on this CPU, wherever it was armed before. Deadline in ns since boot.</summary>
    public static void Arm(Time.Timer timer, ulong deadline)
    {
        Timers(Cpu.Number).Arm(timer, deadline);
        PendingWork.Raise();
    }

    /// <summary>Takes in a vCPU that may run on some CPUs only, or on all (an empty set).</summary>
    /// <returns>False when there is no such CPU: it may run on all then.</returns>
    public static bool Add(Vcpu vcpu, CpuSet affinity)
    {
        RunQueue? best = LeastAssigned(affinity);
        vcpu.Schedule.Affinity = best != null ? affinity : default;
        (best ?? LeastAssigned(default)!).Add(vcpu);
        return best != null;
    }

    /// <summary>Changes the CPUs that a vCPU may run on, at any time; an empty set for all.</summary>
    /// <returns>False when there is no such CPU: nothing changes then.</returns>
    public static bool SetAffinity(Vcpu vcpu, CpuSet affinity)
    {
        if (LeastAssigned(affinity) == null)
        {
            return false;
        }

        RunQueue.SetAffinity(vcpu, affinity, SystemTime.Now);
        return true;
    }

    // Of the queues that have an allowed CPU the one with the fewest vCPUs a CPU; null when none has.
    private static RunQueue? LeastAssigned(CpuSet affinity)
    {
        RunQueue? best = null;
        for (int cpu = 0; cpu < s_cpus; cpu++)
        {
            RunQueue queue = Queue(cpu);
            if ((affinity.IsEmpty || affinity.Contains(cpu)) && (best == null || queue.Assigned < best.Assigned))
            {
                best = queue;
            }
        }

        return best;
    }

    /// <summary>Forgets a vCPU that will not run again.</summary>
    public static void Remove(Vcpu vcpu)
    {
        if (vcpu.Schedule.Queue != null)
        {
            vcpu.Schedule.Queue.Remove();
        }
    }

    /// <summary>Ends a vCPU's block or poll, or has the CPU that it runs on look at its events.</summary>
    public static void Wake(Vcpu vcpu)
    {
        if (Volatile.Read(ref vcpu.Schedule.PolledPort) != 0)
        {
            EndPoll(vcpu);
        }

        int running = RunQueue.Wake(vcpu);
        if (running == VcpuSchedule.Nowhere)
        {
            OfferElsewhere(vcpu);
        }
        else if (running != Cpu.Number)
        {
            // On this CPU the exit path looks at the events anyway.
            CpuRequests.Prompt(running);
        }
    }

    private static void EndPoll(Vcpu vcpu)
    {
        vcpu.Schedule.PolledPort = 0;
        vcpu.Domain.Events!.StopPolling(vcpu);
        TimerQueue.Cancel(vcpu.PollTimer);
    }

    /// <summary>Blocks the running vCPU until an event is pending for it.</summary>
    public static void Block(Vcpu vcpu)
    {
        RunQueue.Block(vcpu);
        PendingWork.Raise();
    }

    /// <summary>Lets others run before the running vCPU goes on.</summary>
    public static void Yield(Vcpu vcpu)
    {
        RunQueue.Yield(vcpu);
        PendingWork.Raise();
    }

    /// <summary>Brings a vCPU up or takes it down. One that runs on another CPU may do so for a moment longer.</summary>
    public static void SetDown(Vcpu vcpu, bool down)
    {
        RunQueue.SetDown(vcpu, down, SystemTime.Now);
        OfferElsewhere(vcpu);
    }

    /// <summary>
    /// Keeps a vCPU off the CPUs until <see cref="Unpause"/> is called as often. One that runs on another CPU may do so for a moment longer.
    /// </summary>
    public static void Pause(Vcpu vcpu) => RunQueue.ChangePauseCount(vcpu, 1, SystemTime.Now);

    /// <summary>Takes back one <see cref="Pause"/>.</summary>
    public static void Unpause(Vcpu vcpu)
    {
        RunQueue.ChangePauseCount(vcpu, -1, SystemTime.Now);
        OfferElsewhere(vcpu);
    }

    /// <summary>A domain pays for time of this CPU, ns since boot, in which the hypervisor worked for it, and not the vCPU that has the CPU. Before the CPU chooses again.</summary>
    public static void Charge(Domain domain, ulong from, ulong until)
    {
        int cpu = Cpu.Number;
        Queue(cpu).TakeTime(cpu, from, until);
        domain.Share.AddDebt(until > from ? until - from : 0);
    }

    /// <summary>A domain that used up its cap may go on.</summary>
    public static void Resume(Domain domain)
    {
        ulong now = SystemTime.Now;
        domain.Share.Resume(now);
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null)
            {
                RunQueue.Unpark(vcpu, now);
                OfferElsewhere(vcpu);
            }
        }
    }

    /// <summary>Decides who runs on this CPU from now on.</summary>
    public static Vcpu? Choose(ulong now)
    {
        int cpu = Cpu.Number;
        RunQueue queue = Queue(cpu);
        if (s_queues!.Length > 1)
        {
            Balance(queue, cpu, now);
        }

        Vcpu? next = queue.Choose(cpu, now);
        return next == null && TryPullAny(queue, cpu) ? queue.Choose(cpu, now) : next;
    }

    /// <summary>Makes a CPU look at its queue and at its vCPU's events.</summary>
    public static void Prompt(int cpu)
    {
        if (cpu == Cpu.Number)
        {
            PendingWork.Raise();
        }
        else
        {
            CpuRequests.Prompt(cpu);
        }
    }

    // Its own queue's CPUs are busy: one that idles elsewhere comes and takes it.
    private static void OfferElsewhere(Vcpu vcpu)
    {
        if (s_queues!.Length == 1 || !Volatile.Read(ref vcpu.Schedule.IsQueued))
        {
            return;
        }

        foreach (RunQueue? queue in s_queues)
        {
            CpuSet idle = queue!.Idle;
            while (!idle.IsEmpty)
            {
                int cpu = idle.RemoveFirst();
                if (vcpu.Schedule.MayRunOn(cpu))
                {
                    Prompt(cpu);
                    return;
                }
            }
        }
    }

    private static bool TryPullAny(RunQueue queue, int cpu)
    {
        foreach (RunQueue? other in s_queues!)
        {
            if (other != queue && other!.Waiting != 0 && queue.TryPull(other, cpu))
            {
                return true;
            }
        }

        return false;
    }

    private static void Balance(RunQueue queue, int cpu, ulong now)
    {
        ref ulong next = ref s_nextBalance![cpu / RunQueue.MaximumCpus];
        ulong due = Volatile.Read(ref next);
        if (now < due || Interlocked.CompareExchange(ref next, now + BalanceInterval, due) != due)
        {
            return;
        }

        RunQueue busiest = queue;
        foreach (RunQueue? other in s_queues!)
        {
            busiest = other!.Load > busiest.Load ? other : busiest;
        }

        if (busiest.Load >= queue.Load + Imbalance)
        {
            queue.TryPull(busiest, cpu);
        }
    }

    private sealed class Host : RunQueueHost
    {
        public override void Prompt(int cpu) => Scheduler.Prompt(cpu);

        public override void ResumeAt(Domain domain, ulong time) => Arm(domain.Share.CapTimer, time);

        public override ulong WakeTime => CpuTime.SinceWait;

        public override RunQueue? FindQueue(Vcpu vcpu) => LeastAssigned(vcpu.Schedule.Affinity);
    }
}
