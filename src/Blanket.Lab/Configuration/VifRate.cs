using System;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Blanket.Lab.Configuration;

/// <summary>A limit on what a guest sends, as netback takes it.</summary>
/// <param name="BytesPerInterval">Credit in bytes, more than 0.</param>
/// <param name="IntervalMicroseconds">How often the credit is replenished, more than 0.</param>
public sealed partial record VifRate(ulong BytesPerInterval, uint IntervalMicroseconds)
{
    /// <summary>The interval when a rate names none (xl-network-configuration(5)).</summary>
    private const ulong DefaultIntervalMicroseconds = 50_000;

    /// <summary>Reads <c>10Mb/s</c>, <c>250KB/s</c> or <c>1MB/s@20ms</c>; null when the text is no rate or one out of range.</summary>
    public static VifRate? TryParse(string text)
    {
        Match match = Pattern().Match(text);
        if (!match.Success || !TryNumber(match, "amount", out ulong amount))
        {
            return null;
        }

        ulong bytesPerSecond = BytesPerSecond(match, amount);
        if (!TryInterval(match, out ulong interval))
        {
            return null;
        }

        // Up to 2^32 * 10^9 bytes a second times 2^32 microseconds.
        UInt128 bytes = (UInt128)bytesPerSecond * interval / 1_000_000;
        return bytes >= 1 && bytes <= ulong.MaxValue ? new VifRate((ulong)bytes, (uint)interval) : null;
    }

    /// <summary>Reads <c>10Mb/s</c> or <c>250KB/s</c>, without an interval; null when the text is no such rate, or less than a byte a second.</summary>
    internal static ulong? TryParseBytesPerSecond(string text)
    {
        Match match = Pattern().Match(text);
        return match.Success && !match.Groups["interval"].Success && TryNumber(match, "amount", out ulong amount) && BytesPerSecond(match, amount) is > 0 and ulong bytes
            ? bytes
            : null;
    }

    private static ulong BytesPerSecond(Match match, ulong amount) =>
        amount * Multiplier(match.Groups["scale"].Value) / (match.Groups["unit"].Value == "b" ? 8u : 1u);

    private static bool TryInterval(Match match, out ulong interval)
    {
        interval = DefaultIntervalMicroseconds;
        if (!match.Groups["interval"].Success)
        {
            return true;
        }

        if (!TryNumber(match, "interval", out ulong amount))
        {
            return false;
        }

        interval = amount * match.Groups["time"].Value switch
        {
            "us" or "u" => 1UL,
            "ms" or "m" => 1_000UL,
            _ => 1_000_000UL,
        };
        return interval <= uint.MaxValue;
    }

    private static bool TryNumber(Match match, string group, out ulong value) =>
        ulong.TryParse(match.Groups[group].Value, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value is > 0 and <= uint.MaxValue;

    private static ulong Multiplier(string scale) => scale switch
    {
        "G" => 1_000_000_000,
        "M" => 1_000_000,
        "K" => 1_000,
        _ => 1,
    };

    [GeneratedRegex("^(?<amount>[0-9]+)(?<scale>[GMK]?)(?<unit>[Bb])/s(@(?<interval>[0-9]+)(?<time>us|ms|s|u|m)?)?$", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
