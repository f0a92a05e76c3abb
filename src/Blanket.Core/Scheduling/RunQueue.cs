using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Scheduling;

/// <summary>
/// One CPU's vCPUs: which one runs, which ones wait for their turn. All scheduling state of its vCPUs
/// (<see cref="VcpuSchedule"/>) changes under its lock. Woken vCPUs go before those that used up their slice.
/// </summary>
public sealed class RunQueue
{
    /// <summary>Length of a time slice in ns.</summary>
    public const ulong Slice = 10_000_000;

    private SpinLock _lock = new(LockClass.Scheduler);
    private Vcpu? _head;
    private Vcpu? _tail;
    private bool _mustChoose = true;

    /// <summary>The vCPU that has the CPU; null while it idles.</summary>
    public Vcpu? Current { get; private set; }

    /// <summary>Whether <see cref="Choose"/> may come to another result than <see cref="Current"/>.</summary>
    public bool MustChoose => _mustChoose;

    /// <summary>When the running vCPU has to be looked at again because others wait; ulong.MaxValue for never.</summary>
    public ulong SliceEnd => Current != null && _head != null ? Current.Schedule.SliceEnd : ulong.MaxValue;

    /// <summary>A vCPU got something to do: ends its block and queues it.</summary>
    public void Wake(Vcpu vcpu, ulong now)
    {
        _lock.Acquire();
        vcpu.Schedule.IsBlocked = false;
        Update(vcpu, now, first: true);
        _lock.Release();
    }

    /// <summary>Waits for an event, unless one is there already: a vCPU never sleeps on a pending event.</summary>
    public void Block(Vcpu vcpu, ulong now)
    {
        _lock.Acquire();
        vcpu.Schedule.IsBlocked = true;
        Update(vcpu, now, first: false);
        _lock.Release();
    }

    /// <summary>Lets the others that wait go first.</summary>
    public void Yield(Vcpu vcpu)
    {
        _lock.Acquire();
        vcpu.Schedule.SliceEnd = 0;
        _mustChoose |= _head != null;
        _lock.Release();
    }

    /// <summary>VCPUOP_up and VCPUOP_down.</summary>
    public void SetDown(Vcpu vcpu, bool down, ulong now)
    {
        _lock.Acquire();
        vcpu.Schedule.IsDown = down;
        Update(vcpu, now, first: false);
        _lock.Release();
    }

    /// <summary>Adds to or takes from the reasons that keep a vCPU off the CPUs.</summary>
    public void ChangePauseCount(Vcpu vcpu, int change, ulong now)
    {
        _lock.Acquire();
        vcpu.Schedule.PauseCount += change;
        Check.That(vcpu.Schedule.PauseCount >= 0);
        Update(vcpu, now, first: false);
        _lock.Release();
    }

    /// <summary>Whether the running vCPU's slice is over or a woken one waits.</summary>
    public void Tick(ulong now)
    {
        if (Current != null && _head != null && now >= Current.Schedule.SliceEnd)
        {
            _mustChoose = true;
        }
    }

    /// <summary>Decides who runs from now on and makes it <see cref="Current"/>.</summary>
    /// <returns>The vCPU; null to idle.</returns>
    public Vcpu? Choose(ulong now)
    {
        _lock.Acquire();
        _mustChoose = false;
        Vcpu? previous = Current;
        if (previous != null)
        {
            bool keeps = previous.Schedule.CanRun && (_head == null || (now < previous.Schedule.SliceEnd && !_head.Schedule.IsWoken));
            if (keeps)
            {
                _lock.Release();
                return previous;
            }

            previous.Schedule.IsRunning = false;
            if (previous.Schedule.CanRun)
            {
                Enqueue(previous, first: false);
            }

            Account(previous, now);
        }

        Vcpu? next = _head;
        if (next != null)
        {
            Unlink(next);
            next.Schedule.IsRunning = true;
            next.Schedule.IsWoken = false;
            next.Schedule.SliceEnd = now + Slice;
            Account(next, now);
        }

        Current = next;
        _lock.Release();
        return next;
    }

    /// <summary>Time in every state up to now.</summary>
    public void ReadTimes(Vcpu vcpu, ulong now, out Abi.Xen.VcpuRunStateInfo info)
    {
        _lock.Acquire();
        VcpuSchedule schedule = vcpu.Schedule;
        info.State = (int)schedule.State;
        info.StateEntryTime = schedule.StateEntryTime;
        info.TimeRunning = schedule.StateTimes[0];
        info.TimeRunnable = schedule.StateTimes[1];
        info.TimeBlocked = schedule.StateTimes[2];
        info.TimeOffline = schedule.StateTimes[3];
        _lock.Release();
    }

    private void Update(Vcpu vcpu, ulong now, bool first)
    {
        VcpuSchedule schedule = vcpu.Schedule;
        if (schedule.IsRunning)
        {
            _mustChoose |= !schedule.CanRun;
            return;
        }

        if (schedule.CanRun && !schedule.IsQueued)
        {
            schedule.IsWoken = first;
            Enqueue(vcpu, first);
            _mustChoose = true;
        }
        else if (!schedule.CanRun && schedule.IsQueued)
        {
            Unlink(vcpu);
        }

        Account(vcpu, now);
    }

    private static void Account(Vcpu vcpu, ulong now)
    {
        VcpuSchedule schedule = vcpu.Schedule;
        RunState state = schedule.IsRunning ? RunState.Running
            : schedule.IsQueued ? RunState.Runnable
            : schedule.IsBlocked && !schedule.IsDown && schedule.PauseCount == 0 ? RunState.Blocked
            : RunState.Offline;
        if (state != schedule.State)
        {
            if (now > schedule.StateEntryTime)
            {
                schedule.StateTimes[(int)schedule.State] += now - schedule.StateEntryTime;
            }

            schedule.State = state;
            schedule.StateEntryTime = now;
        }
    }

    private void Enqueue(Vcpu vcpu, bool first)
    {
        vcpu.Schedule.IsQueued = true;
        if (first)
        {
            vcpu.Schedule.Next = _head;
            vcpu.Schedule.Previous = null;
            SetPrevious(_head, vcpu);
            _head = vcpu;
        }
        else
        {
            vcpu.Schedule.Next = null;
            vcpu.Schedule.Previous = _tail;
            SetNext(_tail, vcpu);
            _tail = vcpu;
        }
    }

    private void Unlink(Vcpu vcpu)
    {
        SetNext(vcpu.Schedule.Previous, vcpu.Schedule.Next);
        SetPrevious(vcpu.Schedule.Next, vcpu.Schedule.Previous);
        vcpu.Schedule.Next = null;
        vcpu.Schedule.Previous = null;
        vcpu.Schedule.IsQueued = false;
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
