using System;

namespace Blanket.Backends;

/// <summary>
/// A rate that is kept over any time much longer than its burst: what was taken is paid for by time, and the next may begin when no more
/// than a burst is owed (the generic cell rate algorithm of ITU-T I.371, as a virtual schedule). What was not used is not saved up.
/// </summary>
internal struct PacedClock
{
    /// <summary>A burst in nanoseconds, where nobody asks for another.</summary>
    internal const ulong DefaultBurst = 20_000_000;

    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const ulong MicrosecondsPerSecond = 1_000_000;
    private const ulong NanosecondsPerMicrosecond = 1_000;

    /// <summary>Which part of a burst is paid before one who waits goes on: several then go at once, and one who wakes late has lost nothing.</summary>
    private const ulong PartPaidByWaiting = 8;

    private readonly ulong _perSecond;
    private readonly ulong _burst;
    private ulong _paid;

    /// <summary>A clock that owes nothing.</summary>
    /// <param name="perSecond">Units a second; 0 for no limit.</param>
    /// <param name="burst">Nanoseconds that may be owed when something begins.</param>
    internal PacedClock(ulong perSecond, ulong burst = DefaultBurst)
    {
        _perSecond = perSecond;
        _burst = burst;
    }

    /// <summary>A clock for a number of units in each interval, all of which may go at once.</summary>
    /// <param name="units">Of an interval; 0 for no limit.</param>
    /// <param name="microseconds">The interval; 0 for no limit.</param>
    internal static PacedClock FromInterval(ulong units, uint microseconds)
    {
        if (units == 0 || microseconds == 0)
        {
            return default;
        }

        ulong perSecond = Math.Min(units, ulong.MaxValue / MicrosecondsPerSecond) * MicrosecondsPerSecond / microseconds;
        return new PacedClock(Math.Max(1, perSecond), microseconds * NanosecondsPerMicrosecond);
    }

    /// <summary>Whether there is a limit.</summary>
    internal readonly bool IsLimited => _perSecond != 0;

    /// <summary>Whether the next may begin.</summary>
    /// <param name="now">Nanoseconds.</param>
    internal readonly bool MayBegin(ulong now) => _paid <= now + _burst;

    /// <summary>When one who may not begin now should try again, in nanoseconds; 0 for any time.</summary>
    internal readonly ulong Resume
    {
        get
        {
            ulong owed = _burst - (_burst / PartPaidByWaiting);
            return _paid > owed ? _paid - owed : 0;
        }
    }

    /// <summary>Takes units, whatever is owed already.</summary>
    /// <param name="units">Less than 2^32.</param>
    /// <param name="now">Nanoseconds.</param>
    internal void Take(uint units, ulong now)
    {
        if (IsLimited)
        {
            _paid = Math.Max(_paid, now) + (units * NanosecondsPerSecond / _perSecond);
        }
    }
}
