using Blanket.Core.Domains;
using Blanket.Core.Time;
using Blanket.Machine;

namespace Blanket.Core.Scheduling;

/// <summary>The run queues and timers of all CPUs, and what the rest of the hypervisor asks of them.</summary>
public static class Scheduler
{
    private const int TimersPerCpu = 1024;
    private static RunQueue?[]? s_queues;
    private static TimerQueue?[]? s_timers;

    /// <summary>Prepares the queues of so many CPUs; once at boot, in an allocation scope.</summary>
    public static void Initialize(int cpus)
    {
        s_queues = new RunQueue?[cpus];
        s_timers = new TimerQueue?[cpus];
        for (int i = 0; i < cpus; i++)
        {
            s_queues[i] = new RunQueue();
            s_timers[i] = new TimerQueue(TimersPerCpu);
        }
    }

    /// <summary>A CPU's run queue.</summary>
    public static RunQueue Queue(int cpu) => s_queues![cpu]!;

    /// <summary>A CPU's timers.</summary>
    public static TimerQueue Timers(int cpu) => s_timers![cpu]!;

    /// <summary>The vCPU that runs on this CPU.</summary>
    public static Vcpu? Current => Queue(Cpu.Number).Current;

    /// <summary>Ends a vCPU's block: an event came for it. Nothing happens when it is not blocked.</summary>
    public static void Wake(Vcpu vcpu)
    {
        if (vcpu.Schedule.PolledPort != 0)
        {
            EndPoll(vcpu);
        }

        Queue(vcpu.Schedule.Cpu).Wake(vcpu, SystemTime.Now);
        Prompt(vcpu.Schedule.Cpu);
    }

    private static void EndPoll(Vcpu vcpu)
    {
        vcpu.Schedule.PolledPort = 0;
        vcpu.Domain.Events!.StopPolling(vcpu);
        Timers(vcpu.Schedule.Cpu).Cancel(vcpu.PollTimer);
    }

    /// <summary>Blocks the running vCPU until an event is pending for it.</summary>
    public static void Block(Vcpu vcpu)
    {
        Queue(vcpu.Schedule.Cpu).Block(vcpu, SystemTime.Now);
        PendingWork.Raise();
    }

    /// <summary>Lets others run before the running vCPU goes on.</summary>
    public static void Yield(Vcpu vcpu)
    {
        Queue(vcpu.Schedule.Cpu).Yield(vcpu);
        PendingWork.Raise();
    }

    /// <summary>Brings a vCPU up or takes it down.</summary>
    public static void SetDown(Vcpu vcpu, bool down)
    {
        Queue(vcpu.Schedule.Cpu).SetDown(vcpu, down, SystemTime.Now);
        Prompt(vcpu.Schedule.Cpu);
    }

    /// <summary>Keeps a vCPU off the CPUs until <see cref="Unpause"/> is called as often.</summary>
    public static void Pause(Vcpu vcpu)
    {
        Queue(vcpu.Schedule.Cpu).ChangePauseCount(vcpu, 1, SystemTime.Now);
        Prompt(vcpu.Schedule.Cpu);
    }

    /// <summary>Takes back one <see cref="Pause"/>.</summary>
    public static void Unpause(Vcpu vcpu)
    {
        Queue(vcpu.Schedule.Cpu).ChangePauseCount(vcpu, -1, SystemTime.Now);
        Prompt(vcpu.Schedule.Cpu);
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
}
