using System.Threading;
using Blanket.Core.Domains;
using Blanket.Core.Time;

namespace Blanket.Core.Scheduling;

/// <summary>What a domain is promised of the CPUs (xl.cfg(5): cpu_weight, cap), and what of it its vCPUs have used.</summary>
public sealed class DomainShare(Domain domain)
{
    /// <summary>Weight of a domain whose configuration says nothing.</summary>
    public const uint DefaultWeight = 256;

    // What a domain earns in this time, in ns, is the most that it has in store: what it does not use is lost beyond that, what it used too
    // much is paid back. Longer than it waits for a CPU when it may run again, also when L0 does not run that CPU for some time slices: the
    // cap would be less than promised otherwise.
    private const ulong Store = 50_000_000;

    // A domain that used up its cap waits until it has what it earns in this time, or it would be stopped and started all the time.
    private const ulong Quantum = 5_000_000;

    // A domain that was away for longer has its store full in any case.
    private const ulong LongestEarning = 100 * Store;
    private const ulong Percent = 100;

    // The most that it owes for work that was done for it in others' time, in ns: what comes while it sleeps must not starve it afterwards.
    private const ulong LongestDebt = Store;

    private long _budget;
    private ulong _debt;
    private ulong _budgetTime;
    private int _isThrottled;
    private int _active;

    /// <summary>Its part of the CPUs in comparison with other domains', 1 to 65535; its runnable vCPUs divide it among themselves.</summary>
    public uint Weight { get; private set; } = DefaultWeight;

    /// <summary>The most CPU time that all its vCPUs together get, in percent of one CPU; 0 for no limit.</summary>
    public uint Cap { get; private set; }

    /// <summary>Whether it has used up its cap and waits.</summary>
    public bool IsThrottled => Volatile.Read(ref _isThrottled) != 0;

    /// <summary>Its vCPUs that run or want to run.</summary>
    internal int Active => Volatile.Read(ref _active);

    /// <summary>Ends the wait of a domain that used up its cap.</summary>
    internal Time.Timer CapTimer { get; } = new Refill(domain);

    /// <summary>Timers of a domain for its cap.</summary>
    internal const int TimerCount = 1;

    /// <summary>Sets weight and cap; at any time.</summary>
    public void Set(uint weight, uint cap, ulong now)
    {
        Weight = System.Math.Clamp(weight, 1, ushort.MaxValue);
        Cap = cap;
        Volatile.Write(ref _budgetTime, now);
        Volatile.Write(ref _budget, (long)Limit);
    }

    private ulong Limit => Store * Cap / Percent;

    /// <summary>Nobody has to be told any more when it may go on after it used up its cap; for teardown.</summary>
    public void CancelTimer() => TimerQueue.Cancel(CapTimer);

    internal void CountActive(int change) => Interlocked.Add(ref _active, change);

    /// <summary>CPU time that is left before it is throttled, ns; long.MaxValue without a cap.</summary>
    internal long Left(ulong now) => Cap == 0 ? long.MaxValue : Refilled(now);

    /// <summary>Takes CPU time that a vCPU has used.</summary>
    /// <returns>True when that has used up the cap just now: <see cref="ResumeTime"/> says when to call <see cref="Resume"/>.</returns>
    internal bool Charge(ulong nanoseconds, ulong now)
    {
        if (Cap == 0)
        {
            return false;
        }

        Refilled(now);
        return Interlocked.Add(ref _budget, -(long)nanoseconds) <= 0 && Interlocked.Exchange(ref _isThrottled, 1) == 0;
    }

    /// <summary>Notes CPU time, in ns, that was used for it while others had the CPU. Its vCPUs pay for it when they run or wake next.</summary>
    internal void AddDebt(ulong nanoseconds)
    {
        ulong debt = Volatile.Read(ref _debt);
        ulong added = System.Math.Min(nanoseconds, LongestDebt - System.Math.Min(debt, LongestDebt));
        Interlocked.Add(ref _debt, added);
        if (Cap != 0)
        {
            Interlocked.Add(ref _budget, -(long)added);
        }
    }

    /// <summary>Takes over all that it owes, in ns.</summary>
    internal ulong TakeDebt() => Volatile.Read(ref _debt) == 0 ? 0 : Interlocked.Exchange(ref _debt, 0);

    /// <summary>When a throttled domain may go on, ns since boot.</summary>
    internal ulong ResumeTime(ulong now)
    {
        uint cap = System.Math.Max(Cap, 1);
        ulong quantum = Quantum * cap / Percent;
        long missing = (long)quantum - Volatile.Read(ref _budget);
        return missing <= 0 ? now : now + (ulong)missing * Percent / cap + 1;
    }

    /// <summary>Lets its vCPUs be chosen again.</summary>
    internal void Resume(ulong now)
    {
        Refilled(now);
        Volatile.Write(ref _isThrottled, 0);
    }

    // Whoever moves the time forward adds what was earned since.
    private long Refilled(ulong now)
    {
        ulong last = Volatile.Read(ref _budgetTime);
        if (now <= last || Interlocked.CompareExchange(ref _budgetTime, now, last) != last)
        {
            return Volatile.Read(ref _budget);
        }

        ulong elapsed = System.Math.Min(now - last, LongestEarning);
        long earned = (long)(elapsed * Cap / Percent);
        long budget = Interlocked.Add(ref _budget, earned);
        long excess = budget - (long)Limit;
        if (excess > 0)
        {
            Interlocked.Add(ref _budget, -excess);
            return (long)Limit;
        }

        return budget;
    }

    private sealed class Refill(Domain domain) : Time.Timer
    {
        public override void Expired() => Scheduler.Resume(domain);
    }
}
