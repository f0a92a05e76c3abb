using System;

namespace Blanket.Backends;

/// <summary>
/// A rate that is kept over any time much longer than <see cref="Burst"/>: what was taken is paid for by time, and the next may begin when no more
/// than a burst is owed (the generic cell rate algorithm of ITU-T I.371, as a virtual schedule). What was not used is not saved up.
/// </summary>
internal struct PacedClock
{
    /// <summary>Nanoseconds that may be owed when something begins.</summary>
    internal const ulong Burst = 20_000_000;

    private const ulong NanosecondsPerSecond = 1_000_000_000;

    private readonly ulong _perSecond;
    private ulong _paid;

    /// <summary>A clock that owes nothing.</summary>
    /// <param name="perSecond">Units a second; 0 for no limit.</param>
    internal PacedClock(ulong perSecond) => _perSecond = perSecond;

    /// <summary>Whether there is a limit.</summary>
    internal readonly bool IsLimited => _perSecond != 0;

    /// <summary>When the next may begin, in nanoseconds; 0 for any time.</summary>
    internal readonly ulong Next => _paid > Burst ? _paid - Burst : 0;

    /// <summary>Takes units, whatever is owed already.</summary>
    /// <param name="units">Less than 2^32.</param>
    /// <param name="now">Nanoseconds.</param>
    internal void Take(uint units, ulong now)
    {
        if (IsLimited)
        {
            _paid = Math.Max(_paid, now) + units * NanosecondsPerSecond / _perSecond;
        }
    }
}
