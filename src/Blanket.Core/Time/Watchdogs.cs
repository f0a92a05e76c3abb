using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Scheduling;
using Blanket.Machine;

namespace Blanket.Core.Time;

/// <summary>A domain's watchdog timers (SCHEDOP_watchdog): each ends the domain unless it is set again in time.</summary>
public sealed class Watchdogs
{
    /// <summary>Watchdogs of a domain (NR_DOMAIN_WATCHDOG_TIMERS of Xen).</summary>
    public const int Count = 2;

    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private readonly WatchdogTimer?[] _timers = new WatchdogTimer?[Count];
    private readonly bool[] _isUsed = new bool[Count];

    /// <summary>Watchdogs that are not armed.</summary>
    public Watchdogs(Domain domain)
    {
        for (int i = 0; i < Count; i++)
        {
            _timers[i] = new WatchdogTimer(domain);
        }
    }

    /// <summary>Arms, re-arms or disarms a watchdog.</summary>
    /// <param name="id">0 for a new one, else 1 to <see cref="Count"/>.</param>
    /// <param name="seconds">0 disarms and frees it.</param>
    /// <returns>The id of a new one; 0; -EINVAL for a bad id; -ENOSPC when all are used; -EEXIST for one that is not.</returns>
    public long Set(uint id, uint seconds)
    {
        if (id > Count)
        {
            return -Errno.EINVAL;
        }

        if (id == 0)
        {
            return seconds == 0 ? -Errno.EINVAL : Create(seconds);
        }

        int index = (int)id - 1;
        if (!_isUsed[index])
        {
            return -Errno.EINVAL;
        }

        if (seconds == 0)
        {
            _isUsed[index] = false;
            TimerQueue.Cancel(_timers[index]!);
        }
        else
        {
            Scheduler.Arm(_timers[index]!, SystemTime.Now + seconds * NanosecondsPerSecond);
        }

        return 0;
    }

    /// <summary>Disarms all, for teardown.</summary>
    public void CancelAll()
    {
        foreach (WatchdogTimer? timer in _timers)
        {
            TimerQueue.Cancel(timer!);
        }
    }

    private long Create(uint seconds)
    {
        for (int i = 0; i < Count; i++)
        {
            if (!_isUsed[i])
            {
                _isUsed[i] = true;
                Scheduler.Arm(_timers[i]!, SystemTime.Now + seconds * NanosecondsPerSecond);
                return i + 1;
            }
        }

        return -Errno.ENOSPC;
    }

    private sealed class WatchdogTimer(Domain domain) : Timer
    {
        public override void Expired() => domain.ShutDown(ShutdownReason.Watchdog);
    }
}
