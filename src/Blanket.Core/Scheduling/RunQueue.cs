using System.Threading;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Scheduling;

/// <summary>
/// The vCPUs of up to <see cref="MaximumCpus"/> neighbouring CPUs, and which of them runs where. Proportional share by virtual time: a
/// vCPU's virtual time grows with the CPU time that it gets, the slower the more weight it has, and who has least runs next. One queue for
/// several CPUs keeps shares exact and leaves no CPU idle while a vCPU waits.
/// <para>
/// A vCPU that slept comes back at the queue's own virtual time less a small credit, so it goes before those that use their CPU
/// up; what it then uses is charged to the nanosecond, so there is nothing to be won by sleeping at the right moments.
/// </para>
/// All state of its vCPUs (<see cref="VcpuSchedule"/>) changes under its lock.
/// </summary>
public sealed class RunQueue
{
    /// <summary>The most CPUs that share a queue.</summary>
    public const int MaximumCpus = 8;

    /// <summary>Longest time in ns before a running vCPU is compared with those that wait.</summary>
    public const ulong LongestSlice = 10_000_000;

    /// <summary>Shortest time in ns that a vCPU which does not wait gets, so that switching does not eat up the CPU.</summary>
    public const ulong ShortestSlice = 500_000;

    // How far, in virtual ns, a running vCPU may be ahead of a waiting one before it has to give way.
    private const ulong Lead = 2_000_000;

    // What a vCPU can have saved up at most by sleeping or by having less weight than it can use, in virtual ns: more than Lead, so it runs at once.
    private const ulong Credit = 6_000_000;

    private readonly RunQueueHost _host;
    private readonly CpuSlot[] _slots;
    private readonly int _firstCpu;
    private SpinLock _lock;
    private Vcpu? _head;
    private Vcpu? _tail;
    private int _waiting;
    private int _assigned;
    private ulong _virtualTime = Credit;
    private CpuSet _idle;

    private sealed class CpuSlot
    {
        public Vcpu? Current;
        public bool MustChoose = true;
        public ulong SliceEnd = ulong.MaxValue;
        public ulong ChargedUntil;
        public ulong StartTime;
    }

    /// <summary>A queue for some CPUs.</summary>
    /// <param name="host">The CPUs and the clock around it.</param>
    /// <param name="firstCpu">Number of the first CPU.</param>
    /// <param name="cpus">Number of CPUs, at most <see cref="MaximumCpus"/>.</param>
    public RunQueue(RunQueueHost host, int firstCpu, int cpus)
    {
        _host = host;
        _firstCpu = firstCpu;
        _lock = new SpinLock(LockClass.Scheduler, (ushort)firstCpu);
        _slots = new CpuSlot[cpus];
        for (int i = 0; i < cpus; i++)
        {
            _slots[i] = new CpuSlot();
        }
    }

    /// <summary>vCPUs that wait for a CPU; a hint for others.</summary>
    public int Waiting => Volatile.Read(ref _waiting);

    /// <summary>Whether one of its CPUs has nothing to do; a hint.</summary>
    internal CpuSet Idle => _idle;

    /// <summary>vCPUs that belong to it, a CPU, times 64; a hint.</summary>
    internal int Assigned => Volatile.Read(ref _assigned) * 64 / _slots.Length;

    /// <summary>vCPUs that run or wait, a CPU, times 64; a hint.</summary>
    internal int Load => (Waiting + _slots.Length - BitCount(_idle)) * 64 / _slots.Length;

    private static int BitCount(CpuSet set) =>
        System.Numerics.BitOperations.PopCount(set.Low) + System.Numerics.BitOperations.PopCount(set.High);

    /// <summary>The vCPU that has a CPU; null while it idles. Only that CPU may rely on it.</summary>
    public Vcpu? Current(int cpu) => Slot(cpu).Current;

    /// <summary>Whether <see cref="Choose"/> may come to another result than <see cref="Current"/>.</summary>
    public bool MustChoose(int cpu, ulong now)
    {
        CpuSlot slot = Slot(cpu);
        return Volatile.Read(ref slot.MustChoose) || now >= Volatile.Read(ref slot.SliceEnd);
    }

    /// <summary>When a CPU has to choose again; ulong.MaxValue for never.</summary>
    public ulong SliceEnd(int cpu) => Volatile.Read(ref Slot(cpu).SliceEnd);

    /// <summary>Ends a vCPU's block.</summary>
    /// <returns>The CPU that it runs on now, which has to be told about its event; <see cref="VcpuSchedule.Nowhere"/> when it does not run.</returns>
    public static int Wake(Vcpu vcpu)
    {
        RunQueue queue = Lock(vcpu);
        vcpu.Schedule.IsBlocked = false;
        int running = vcpu.Schedule.RunningOn;

        // For one that runs the time does not matter; reading it may be an exit to L0.
        int prompt = queue.Update(vcpu, running == VcpuSchedule.Nowhere ? queue._host.WakeTime : 0);
        queue.Unlock(prompt);
        return running;
    }

    /// <summary>Makes the running vCPU wait for an event.</summary>
    public static void Block(Vcpu vcpu)
    {
        RunQueue queue = Lock(vcpu);
        vcpu.Schedule.IsBlocked = true;
        queue.Unlock(queue.Update(vcpu, 0));
    }

    /// <summary>Lets the next that waits go first, whoever has had less.</summary>
    public static void Yield(Vcpu vcpu)
    {
        RunQueue queue = Lock(vcpu);
        int cpu = vcpu.Schedule.RunningOn;
        if (cpu != VcpuSchedule.Nowhere && queue._head != null)
        {
            vcpu.Schedule.IsYielding = true;
            queue.Slot(cpu).MustChoose = true;
        }

        queue.Unlock(VcpuSchedule.Nowhere);
    }

    /// <summary>VCPUOP_up and VCPUOP_down.</summary>
    public static void SetDown(Vcpu vcpu, bool down, ulong now)
    {
        RunQueue queue = Lock(vcpu);
        vcpu.Schedule.IsDown = down;
        queue.Unlock(queue.Update(vcpu, now));
    }

    /// <summary>Adds to or takes from the reasons that keep a vCPU off the CPUs.</summary>
    public static void ChangePauseCount(Vcpu vcpu, int change, ulong now)
    {
        RunQueue queue = Lock(vcpu);
        vcpu.Schedule.PauseCount += change;
        Check.That(vcpu.Schedule.PauseCount >= 0);
        queue.Unlock(queue.Update(vcpu, now));
    }

    /// <summary>Its domain may go on after it had used up its cap.</summary>
    public static void Unpark(Vcpu vcpu, ulong now)
    {
        RunQueue queue = Lock(vcpu);
        int prompt = VcpuSchedule.Nowhere;
        if (vcpu.Schedule.IsParked)
        {
            vcpu.Schedule.IsParked = false;
            prompt = queue.Update(vcpu, now);
        }

        queue.Unlock(prompt);
    }

    /// <summary>Changes the CPUs that a vCPU may run on; it moves to a queue of one of them, as soon as it does not run.</summary>
    public static void SetAffinity(Vcpu vcpu, CpuSet cpus, ulong now)
    {
        RunQueue queue = Lock(vcpu);
        VcpuSchedule schedule = vcpu.Schedule;
        schedule.Affinity = cpus;
        bool serves = queue.Serves(vcpu);
        Volatile.Write(ref schedule.IsMisplaced, !serves);
        int prompt = VcpuSchedule.Nowhere;
        if (schedule.IsRunning && !schedule.MayRunOn(schedule.RunningOn))
        {
            queue.Slot(schedule.RunningOn).MustChoose = true;
            prompt = schedule.RunningOn;
        }
        else if (schedule.IsQueued && serves)
        {
            prompt = queue.FindCpu(vcpu, now);
        }

        queue.Unlock(prompt);
        if (!serves)
        {
            queue.MoveElsewhere(vcpu, now);
        }
    }

    private bool Serves(Vcpu vcpu)
    {
        for (int i = 0; i < _slots.Length; i++)
        {
            if (vcpu.Schedule.MayRunOn(_firstCpu + i))
            {
                return true;
            }
        }

        return false;
    }

    // One that runs stays until it is put down (Released).
    private void MoveElsewhere(Vcpu vcpu, ulong now)
    {
        RunQueue? to = _host.FindQueue(vcpu);
        if (to == null || to == this)
        {
            return;
        }

        AcquireBoth(this, to);
        VcpuSchedule schedule = vcpu.Schedule;
        int prompt = VcpuSchedule.Nowhere;
        if (schedule.Queue == this && !schedule.IsRunning && to.Serves(vcpu))
        {
            bool waits = schedule.IsQueued;
            if (waits)
            {
                Unlink(vcpu);
            }

            to.TakeOver(vcpu, this);
            Volatile.Write(ref schedule.IsMisplaced, false);
            if (waits)
            {
                to.Enqueue(vcpu);
                prompt = to.FindCpu(vcpu, now);
            }
        }

        ReleaseBoth(this, to);
        if (prompt != VcpuSchedule.Nowhere)
        {
            _host.Prompt(prompt);
        }
    }

    // Under both locks.
    private void TakeOver(Vcpu vcpu, RunQueue from)
    {
        ulong lag = vcpu.Schedule.VirtualTime;
        lag = lag > from._virtualTime ? System.Math.Min(lag - from._virtualTime, Credit) : 0;
        vcpu.Schedule.VirtualTime = _virtualTime + lag;
        Volatile.Write(ref vcpu.Schedule.Queue, this);
        Interlocked.Increment(ref _assigned);
        from.Remove();
    }

    /// <summary>Time in every state up to now.</summary>
    public static void ReadTimes(Vcpu vcpu, out Abi.Xen.VcpuRunStateInfo info)
    {
        RunQueue queue = Lock(vcpu);
        VcpuSchedule schedule = vcpu.Schedule;
        info.State = (int)schedule.State;
        info.StateEntryTime = schedule.StateEntryTime;
        info.TimeRunning = schedule.StateTimes[0];
        info.TimeRunnable = schedule.StateTimes[1];
        info.TimeBlocked = schedule.StateTimes[2];
        info.TimeOffline = schedule.StateTimes[3];
        queue.Unlock(VcpuSchedule.Nowhere);
    }

    /// <summary>Takes in a vCPU that has never been in a queue.</summary>
    internal void Add(Vcpu vcpu)
    {
        Interlocked.Increment(ref _assigned);
        vcpu.Schedule.LastCpu = _firstCpu;
        Volatile.Write(ref vcpu.Schedule.Queue, this);
    }

    /// <summary>One of its vCPUs is gone.</summary>
    internal void Remove() => Interlocked.Decrement(ref _assigned);

    /// <summary>Decides who runs on a CPU from now on, makes it <see cref="Current"/> and its holder this CPU.</summary>
    /// <returns>The vCPU; null to idle.</returns>
    public Vcpu? Choose(int cpu, ulong now)
    {
        _lock.Acquire();
        CpuSlot slot = Slot(cpu);
        slot.MustChoose = false;
        Vcpu? previous = slot.Current;
        Vcpu? next = FirstFor(cpu, previous);
        Domain? throttled = null;
        if (previous != null)
        {
            if (Charge(previous, slot, next, now))
            {
                throttled = previous.Domain;
            }

            if (Keeps(previous, next, slot, cpu, now))
            {
                next = previous;
            }
            else
            {
                TakeOff(previous, slot, now);
            }
        }

        if (next != previous && next != null)
        {
            Unlink(next);
            PutOn(next, slot, cpu, now);
        }

        slot.SliceEnd = next == null ? ulong.MaxValue : EndOfSlice(next, slot, cpu, now);
        if (next == null)
        {
            _idle.Add(cpu);
        }
        else
        {
            next.Schedule.IsYielding = false;
            _idle.Remove(cpu);
        }

        _lock.Release();
        if (throttled != null)
        {
            _host.ResumeAt(throttled, throttled.Share.ResumeTime(now));
        }

        return next;
    }

    /// <summary>
    /// The hypervisor has used a CPU for itself: its current vCPU is not charged for that, and has waited meanwhile (RUNSTATE_runnable, vcpu.h), so that its
    /// guest sees stolen time. To be called on that CPU, before it chooses again.
    /// </summary>
    public void TakeTime(int cpu, ulong from, ulong until)
    {
        _lock.Acquire();
        CpuSlot slot = Slot(cpu);
        Vcpu? vcpu = slot.Current;
        from = System.Math.Max(from, slot.ChargedUntil);
        if (vcpu != null && until > from)
        {
            ulong taken = until - from;
            slot.ChargedUntil += taken;
            slot.StartTime += taken;
            slot.SliceEnd = slot.SliceEnd == ulong.MaxValue ? ulong.MaxValue : slot.SliceEnd + taken;
            VcpuSchedule schedule = vcpu.Schedule;
            if (schedule.State == RunState.Running && until > schedule.StateEntryTime)
            {
                from = System.Math.Max(from, schedule.StateEntryTime);
                schedule.StateTimes[(int)RunState.Running] += from - schedule.StateEntryTime;
                schedule.StateTimes[(int)RunState.Runnable] += until - from;
                schedule.StateEntryTime = until;
            }
        }

        _lock.Release();
    }

    /// <summary>This CPU is about to load its current vCPU.</summary>
    public static void Hold(Vcpu vcpu, int cpu) => Volatile.Write(ref vcpu.Schedule.HeldBy, cpu);

    /// <summary>A vCPU that this CPU held is all in memory now: others may run it.</summary>
    public static void Released(Vcpu vcpu, ulong now)
    {
        Volatile.Write(ref vcpu.Schedule.HeldBy, VcpuSchedule.Nowhere);
        Interlocked.MemoryBarrier();
        bool isMisplaced = Volatile.Read(ref vcpu.Schedule.IsMisplaced);
        if (!Volatile.Read(ref vcpu.Schedule.IsQueued) && !isMisplaced)
        {
            return;
        }

        RunQueue queue = Lock(vcpu);
        if (vcpu.Schedule.IsMisplaced)
        {
            queue.Unlock(VcpuSchedule.Nowhere);
            queue.MoveElsewhere(vcpu, now);
            return;
        }

        queue.Unlock(vcpu.Schedule.IsQueued ? queue.FindCpu(vcpu, now) : VcpuSchedule.Nowhere);
    }

    /// <summary>Moves a waiting vCPU that a CPU of this queue may run here from another queue.</summary>
    /// <returns>Whether there was one.</returns>
    internal bool TryPull(RunQueue from, int cpu)
    {
        AcquireBoth(this, from);
        Vcpu? vcpu = from.FirstFor(cpu, null);
        if (vcpu != null)
        {
            from.Unlink(vcpu);
            TakeOver(vcpu, from);
            Enqueue(vcpu);
        }

        ReleaseBoth(this, from);
        return vcpu != null;
    }

    private static void AcquireBoth(RunQueue one, RunQueue other)
    {
        (one._firstCpu < other._firstCpu ? one : other)._lock.Acquire();
        (one._firstCpu < other._firstCpu ? other : one)._lock.Acquire();
    }

    private static void ReleaseBoth(RunQueue one, RunQueue other)
    {
        one._lock.Release();
        other._lock.Release();
    }

    private CpuSlot Slot(int cpu) => _slots[cpu - _firstCpu];

    private static RunQueue Lock(Vcpu vcpu)
    {
        while (true)
        {
            RunQueue queue = Volatile.Read(ref vcpu.Schedule.Queue)!;
            queue._lock.Acquire();
            if (queue == vcpu.Schedule.Queue)
            {
                return queue;
            }

            queue._lock.Release();
        }
    }

    private void Unlock(int prompt)
    {
        _lock.Release();
        if (prompt != VcpuSchedule.Nowhere)
        {
            _host.Prompt(prompt);
        }
    }

    /// <summary>Puts a vCPU where its state says that it belongs.</summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="now">ns since boot; of no meaning for one that runs.</param>
    /// <returns>The CPU to prompt.</returns>
    private int Update(Vcpu vcpu, ulong now)
    {
        VcpuSchedule schedule = vcpu.Schedule;
        bool canRun = schedule.CanRun;
        if (canRun != schedule.IsActive)
        {
            schedule.IsActive = canRun;
            vcpu.Domain.Share.CountActive(canRun ? 1 : -1);
        }

        if (schedule.IsRunning)
        {
            int cpu = schedule.RunningOn;
            if (!canRun && !Slot(cpu).MustChoose)
            {
                Slot(cpu).MustChoose = true;
                return cpu;
            }

            return VcpuSchedule.Nowhere;
        }

        int prompt = VcpuSchedule.Nowhere;
        if (canRun && !schedule.IsQueued && !schedule.IsParked)
        {
            schedule.VirtualTime = System.Math.Max(schedule.VirtualTime, _virtualTime - Credit) + Virtual(vcpu, vcpu.Domain.Share.TakeDebt());
            prompt = Admit(vcpu, now);
        }
        else if (!canRun && schedule.IsQueued)
        {
            Unlink(vcpu);
        }
        else if (!canRun)
        {
            schedule.IsParked = false;
        }

        Account(vcpu, now);
        return prompt;
    }

    private int Admit(Vcpu vcpu, ulong now)
    {
        if (vcpu.Domain.Share.IsThrottled)
        {
            vcpu.Schedule.IsParked = true;
            return VcpuSchedule.Nowhere;
        }

        Enqueue(vcpu);
        return FindCpu(vcpu, now);
    }

    /// <summary>The CPU that should look at a waiting vCPU now: an idle one, else the one whose vCPU is furthest ahead.</summary>
    private int FindCpu(Vcpu vcpu, ulong now)
    {
        VcpuSchedule schedule = vcpu.Schedule;

        // It is in the queue: either the holder sees that when it puts it down (Released), or it is seen here that nobody holds it.
        Interlocked.MemoryBarrier();
        int holder = Volatile.Read(ref schedule.HeldBy);
        if (holder != VcpuSchedule.Nowhere)
        {
            // Only the holder may run it. One that is busy is about to put it down, and calls Released then.
            if (holder < _firstCpu || holder >= _firstCpu + _slots.Length)
            {
                // Another queue's: it came here while that CPU idled, which puts it down when it sees that it is wanted.
                return holder;
            }

            return _idle.Contains(holder) ? Reserve(holder) : VcpuSchedule.Nowhere;
        }

        CpuSet idle = _idle;
        if (!schedule.Affinity.IsEmpty)
        {
            idle.Low &= schedule.Affinity.Low;
            idle.High &= schedule.Affinity.High;
        }

        if (!idle.IsEmpty)
        {
            return Reserve(idle.Contains(schedule.LastCpu) ? schedule.LastCpu : idle.RemoveFirst());
        }

        return FindRunning(vcpu, now);
    }

    private int Reserve(int cpu)
    {
        _idle.Remove(cpu);
        Slot(cpu).MustChoose = true;
        return cpu;
    }

    private int FindRunning(Vcpu vcpu, ulong now)
    {
        int found = VcpuSchedule.Nowhere;
        ulong furthest = 0;
        for (int i = 0; i < _slots.Length; i++)
        {
            CpuSlot slot = _slots[i];
            if (slot.MustChoose || slot.Current == null || !vcpu.Schedule.MayRunOn(_firstCpu + i))
            {
                continue;
            }

            ulong reached = slot.Current.Schedule.VirtualTime + Virtual(slot.Current, Since(slot.ChargedUntil, now));
            if (found == VcpuSchedule.Nowhere || reached > furthest)
            {
                found = i;
                furthest = reached;
            }
        }

        if (found == VcpuSchedule.Nowhere)
        {
            return VcpuSchedule.Nowhere;
        }

        // Now, or when its time is over: then it has to know that somebody waits.
        CpuSlot target = _slots[found];
        ulong limit = vcpu.Schedule.VirtualTime + Lead;
        ulong left = limit > furthest ? Real(target.Current!, limit - furthest) : 0;
        ulong end = System.Math.Max(now + System.Math.Min(left, LongestSlice), target.StartTime + ShortestSlice);
        if (end <= now)
        {
            target.MustChoose = true;
            return _firstCpu + found;
        }

        if (end >= target.SliceEnd)
        {
            return VcpuSchedule.Nowhere;
        }

        Volatile.Write(ref target.SliceEnd, end);
        return _firstCpu + found;
    }

    // Who waits longest by virtual time and may run on a CPU. Not the one that runs there.
    private Vcpu? FirstFor(int cpu, Vcpu? current)
    {
        Vcpu? vcpu = _head;
        while (vcpu != null)
        {
            int holder = Volatile.Read(ref vcpu.Schedule.HeldBy);
            if (vcpu != current && (holder == VcpuSchedule.Nowhere || holder == cpu) && vcpu.Schedule.MayRunOn(cpu))
            {
                return vcpu;
            }

            vcpu = vcpu.Schedule.Next;
        }

        return null;
    }

    private bool Keeps(Vcpu previous, Vcpu? next, CpuSlot slot, int cpu, ulong now)
    {
        VcpuSchedule schedule = previous.Schedule;
        if (!schedule.CanRun || !schedule.MayRunOn(cpu) || previous.Domain.Share.IsThrottled)
        {
            return false;
        }

        if (next == null)
        {
            return true;
        }

        return !schedule.IsYielding
            && (now < slot.StartTime + ShortestSlice || schedule.VirtualTime <= next.Schedule.VirtualTime + Lead);
    }

    private void TakeOff(Vcpu vcpu, CpuSlot slot, ulong now)
    {
        vcpu.Schedule.RunningOn = VcpuSchedule.Nowhere;
        vcpu.Schedule.IsYielding = false;
        slot.Current = null;
        if (vcpu.Schedule.CanRun)
        {
            if (vcpu.Domain.Share.IsThrottled)
            {
                vcpu.Schedule.IsParked = true;
            }
            else
            {
                Enqueue(vcpu);
            }
        }

        Account(vcpu, now);
    }

    private void PutOn(Vcpu vcpu, CpuSlot slot, int cpu, ulong now)
    {
        slot.Current = vcpu;
        slot.ChargedUntil = now;
        slot.StartTime = now;
        vcpu.Schedule.RunningOn = cpu;
        vcpu.Schedule.LastCpu = cpu;
        Volatile.Write(ref vcpu.Schedule.HeldBy, cpu);
        _virtualTime = System.Math.Max(_virtualTime, vcpu.Schedule.VirtualTime);
        Account(vcpu, now);
    }

    /// <summary>Charges a running vCPU for its time up to now.</summary>
    /// <returns>Whether its domain has used up its cap by that.</returns>
    private bool Charge(Vcpu vcpu, CpuSlot slot, Vcpu? next, ulong now)
    {
        ulong ran = Since(slot.ChargedUntil, now);
        slot.ChargedUntil = System.Math.Max(slot.ChargedUntil, now);
        VcpuSchedule schedule = vcpu.Schedule;
        ulong reached = schedule.VirtualTime + Virtual(vcpu, ran + vcpu.Domain.Share.TakeDebt());
        if (next != null)
        {
            // Weight that it cannot use, because it runs all the time, is not saved up.
            reached = System.Math.Max(reached, next.Schedule.VirtualTime > Credit ? next.Schedule.VirtualTime - Credit : 0);
        }
        else
        {
            // Nobody else could have used the CPU: this is not held against it when somebody can.
            reached = System.Math.Max(schedule.VirtualTime, System.Math.Min(reached, _virtualTime + Lead));
            if (_head == null)
            {
                _virtualTime = System.Math.Max(_virtualTime, reached);
            }
        }

        schedule.VirtualTime = reached;
        return vcpu.Domain.Share.Charge(ran, now);
    }

    private ulong EndOfSlice(Vcpu vcpu, CpuSlot slot, int cpu, ulong now)
    {
        DomainShare share = vcpu.Domain.Share;
        ulong end = ulong.MaxValue;
        if (share.Cap != 0)
        {
            long left = System.Math.Max(share.Left(now), 0) / System.Math.Max(share.Active, 1);
            end = now + System.Math.Max((ulong)left, ShortestSlice / 10);
        }

        Vcpu? next = FirstFor(cpu, vcpu);
        if (next == null)
        {
            return end;
        }

        ulong limit = next.Schedule.VirtualTime + Lead;

        // At the limit it still keeps the CPU; beyond, it does not.
        ulong untilLimit = limit >= vcpu.Schedule.VirtualTime ? Real(vcpu, limit - vcpu.Schedule.VirtualTime + 1) : 0;
        ulong slice = System.Math.Max(now + System.Math.Min(untilLimit, LongestSlice), slot.StartTime + ShortestSlice);
        return System.Math.Min(end, slice);
    }

    private static ulong Since(ulong then, ulong now) => now > then ? now - then : 0;

    private static ulong Virtual(Vcpu vcpu, ulong nanoseconds)
    {
        DomainShare share = vcpu.Domain.Share;
        return nanoseconds * DomainShare.DefaultWeight * (uint)System.Math.Max(share.Active, 1) / share.Weight;
    }

    // Rounded up, so that after this time Virtual is at least what was asked for.
    private static ulong Real(Vcpu vcpu, ulong virtualNanoseconds)
    {
        DomainShare share = vcpu.Domain.Share;
        ulong divisor = DomainShare.DefaultWeight * (uint)System.Math.Max(share.Active, 1);
        return (virtualNanoseconds * share.Weight + divisor - 1) / divisor;
    }

    private static void Account(Vcpu vcpu, ulong now)
    {
        VcpuSchedule schedule = vcpu.Schedule;
        RunState state = schedule.IsRunning ? RunState.Running
            : schedule.CanRun ? RunState.Runnable
            : schedule.IsBlocked && !schedule.IsDown && schedule.PauseCount == 0 ? RunState.Blocked
            : RunState.Offline;
        if (state != schedule.State)
        {
            if (now > schedule.StateEntryTime)
            {
                schedule.StateTimes[(int)schedule.State] += now - schedule.StateEntryTime;
            }

            // A CPU may know an earlier time than the one that put the vCPU into its state: what is accounted for is not counted again.
            schedule.State = state;
            schedule.StateEntryTime = System.Math.Max(now, schedule.StateEntryTime);
        }
    }

    // Sorted by virtual time; behind those of the same. Who has just run belongs near the end, who has slept near the front.
    private void Enqueue(Vcpu vcpu)
    {
        VcpuSchedule schedule = vcpu.Schedule;
        Vcpu? before = _tail;
        while (before != null && before.Schedule.VirtualTime > schedule.VirtualTime)
        {
            before = before.Schedule.Previous;
        }

        Vcpu? after = before == null ? _head : before.Schedule.Next;
        schedule.Previous = before;
        schedule.Next = after;
        SetNext(before, vcpu);
        SetPrevious(after, vcpu);
        Volatile.Write(ref schedule.IsQueued, true);
        _waiting++;
    }

    private void Unlink(Vcpu vcpu)
    {
        VcpuSchedule schedule = vcpu.Schedule;
        SetNext(schedule.Previous, schedule.Next);
        SetPrevious(schedule.Next, schedule.Previous);
        schedule.Next = null;
        schedule.Previous = null;
        Volatile.Write(ref schedule.IsQueued, false);
        _waiting--;
    }

    private void SetPrevious(Vcpu? vcpu, Vcpu? previous)
    {
        if (vcpu != null)
        {
            vcpu.Schedule.Previous = previous;
        }
        else
        {
            _tail = previous;
        }
    }

    private void SetNext(Vcpu? vcpu, Vcpu? next)
    {
        if (vcpu != null)
        {
            vcpu.Schedule.Next = next;
        }
        else
        {
            _head = next;
        }
    }
}
