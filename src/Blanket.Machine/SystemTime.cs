using System;

namespace Blanket.Machine;

/// <summary>
/// Nanoseconds since the hypervisor's boot, from the TSC with the scale that guests are given too (struct vcpu_time_info,
/// xen/include/public/xen.h): ns = ((tsc - base) shifted by <see cref="TscShift"/>) * <see cref="TscToSystemMul"/> / 2^32.
/// </summary>
public static class SystemTime
{
    private static ulong s_tscBase;
    private static uint s_mul = 1U << 31;
    private static sbyte s_shift = 1;

    /// <summary>Multiplier of the scale, as in vcpu_time_info.</summary>
    public static uint TscToSystemMul => s_mul;

    /// <summary>Shift of the scale, as in vcpu_time_info: to the left when positive.</summary>
    public static sbyte TscShift => s_shift;

    /// <summary>TSC value at system time 0.</summary>
    public static ulong TscBase => s_tscBase;

    /// <summary>Frequency of the TSC in kHz.</summary>
    public static ulong TscKilohertz { get; private set; } = 1_000_000;

    /// <summary>Wall-clock time at system time 0, in ns since 1970-01-01 UTC.</summary>
    public static ulong WallClockBase { get; set; }

    /// <summary>Now, in ns since boot. Monotonic on a CPU; TSCs of one machine are taken as synchronous.</summary>
    public static ulong Now => FromTsc(Cpu.ReadTsc());

    /// <summary>System time at a TSC value, in ns; 0 for one before boot.</summary>
    public static ulong FromTsc(ulong tsc)
    {
        ulong delta = tsc > s_tscBase ? tsc - s_tscBase : 0;
        delta = s_shift >= 0 ? delta << s_shift : delta >> -s_shift;
        ulong high = Math.BigMul(delta, s_mul, out ulong low);
        return (high << 32) | (low >> 32);
    }

    /// <summary>TSC value at a system time; ulong.MaxValue for one out of range.</summary>
    public static ulong ToTsc(ulong nanoseconds)
    {
        ulong milliseconds = nanoseconds / 1_000_000;
        ulong rest = nanoseconds % 1_000_000;
        if (milliseconds > ulong.MaxValue / 2 / TscKilohertz)
        {
            return ulong.MaxValue;
        }

        return s_tscBase + milliseconds * TscKilohertz + rest * TscKilohertz / 1_000_000;
    }

    /// <summary>Sets the scale from a frequency; once at boot, before anybody asks for the time.</summary>
    /// <param name="kilohertz">TSC ticks per millisecond, at least 1.</param>
    /// <param name="tscBase">TSC value that becomes system time 0.</param>
    public static void Initialize(ulong kilohertz, ulong tscBase)
    {
        Check.That(kilohertz != 0);
        TscKilohertz = kilohertz;
        s_tscBase = tscBase;

        // mul = 2^32 * 10^6 / kHz must fit in 32 bits and use its top bit; the shift makes up for it.
        ulong frequency = kilohertz;
        sbyte shift = 0;
        while (frequency > 2_000_000)
        {
            frequency >>= 1;
            shift--;
        }

        while (frequency <= 1_000_000)
        {
            frequency <<= 1;
            shift++;
        }

        // Computed from the full frequency: the bits that the shift dropped count.
        ulong numerator = 1_000_000UL << 32;
        ulong quotient = shift >= 0 ? numerator / (kilohertz << shift) : Divide(numerator, kilohertz, -shift);
        s_mul = (uint)Math.Min(quotient, uint.MaxValue);
        s_shift = shift;
    }

    // (numerator << shift) / divisor for shift up to 12 without overflow: numerator is below 2^52.
    private static ulong Divide(ulong numerator, ulong divisor, int shift) => (numerator << shift) / divisor;
}
