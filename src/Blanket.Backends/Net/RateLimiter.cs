using System;

namespace Blanket.Backends;

/// <summary>A budget of bytes that is renewed in equal intervals; unused bytes are kept up to a burst, so that a packet larger than the budget gets its turn.</summary>
internal struct RateLimiter
{
    /// <summary>Bytes that can always be saved up: two of the largest packets.</summary>
    private const ulong MinimumBurst = 131_072;

    private const ulong NanosecondsPerMicrosecond = 1_000;

    private readonly ulong _budget;
    private readonly ulong _interval;
    private ulong _left;
    private ulong _renewal;

    /// <summary>A limiter with a full budget.</summary>
    /// <param name="bytes">Bytes of an interval; 0 for no limit.</param>
    /// <param name="intervalMicroseconds">The interval; 0 for no limit.</param>
    /// <param name="now">Nanoseconds.</param>
    internal RateLimiter(ulong bytes, uint intervalMicroseconds, ulong now)
    {
        _interval = intervalMicroseconds * NanosecondsPerMicrosecond;
        _budget = _interval == 0 ? 0 : bytes;
        _left = bytes;
        _renewal = now + _interval;
    }

    /// <summary>Whether there is a limit.</summary>
    internal readonly bool IsLimited => _budget != 0;

    /// <summary>Takes bytes from the budget; false when there are too few, which changes at <see cref="NextRenewal"/>.</summary>
    internal bool TryTake(uint bytes, ulong now)
    {
        if (!IsLimited)
        {
            return true;
        }

        if (now >= _renewal)
        {
            ulong intervals = (now - _renewal) / _interval + 1;
            ulong burst = Math.Max(MinimumBurst, _budget);
            ulong missing = burst - Math.Min(_left, burst);
            ulong earned = intervals > missing / _budget ? missing : intervals * _budget;
            _left += earned;
            _renewal += intervals * _interval;
        }

        if (bytes > _left)
        {
            return false;
        }

        _left -= bytes;
        return true;
    }

    /// <summary>When there are more bytes.</summary>
    internal readonly ulong NextRenewal => _renewal;
}
