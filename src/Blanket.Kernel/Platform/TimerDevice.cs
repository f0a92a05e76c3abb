using System.Runtime.CompilerServices;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// The one-shot timer of every CPU: its local APIC's, set to a TSC value where the CPU can do that, else to a count of the bus
/// clock. Its interrupt means 'look at the time'; the work loop then finds what is due.
/// </summary>
public static class TimerDevice
{
    /// <summary>The deadline of a timer that is off.</summary>
    public const ulong Never = ulong.MaxValue;

    private const ulong CalibrationNanoseconds = 5_000_000;
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    // Counts are computed as ns * multiplier >> shift, in 64 bits for waits below MaximumWait.
    private const int Shift = 22;
    private const ulong MaximumWait = NanosecondsPerSecond;

    [InlineArray(Cpu.MaximumCpus)]
    private struct Deadlines
    {
        private ulong _first;
    }

    private static Deadlines s_armed;
    private static bool s_usesDeadline;
    private static ulong s_countMultiplier;

    /// <summary>Prepares the boot CPU's timer; <see cref="SystemTime"/> must run. In an allocation scope.</summary>
    /// <returns>False when the timer does not count.</returns>
    internal static bool TryInitialize()
    {
        s_usesDeadline = CpuFeatures.Has(CpuFeature.TscDeadline);
        if (!s_usesDeadline && !TryCalibrate())
        {
            Log.Line("time: the local APIC's timer does not count"u8).End();
            return false;
        }

        InterruptVectors.Register(SystemVectors.Timer, new Expired());
        InitializeThisCpu();
        return true;
    }

    /// <summary>Prepares this CPU's timer; it is off.</summary>
    internal static void InitializeThisCpu()
    {
        s_armed[Cpu.Number] = Never;
        LocalApic.SetTimerMasked(LocalApic.DivideByOne);
        LocalApic.SetTimerMode(s_usesDeadline ? LocalApic.TimerDeadlineMode : 0);
        if (s_usesDeadline)
        {
            // The mode must be set before the first deadline (SDM vol. 3, 11.5.4.1).
            Cpu.Fence();
        }
    }

    private static bool TryCalibrate()
    {
        LocalApic.SetTimerMasked(LocalApic.DivideByOne);
        LocalApic.SetTimerCount(uint.MaxValue);
        uint first = ReadCount(out ulong start);
        uint last;
        ulong end;
        do
        {
            last = ReadCount(out end);
        }
        while (end - start < CalibrationNanoseconds);

        LocalApic.SetTimerCount(0);
        ulong ticks = first - last;
        s_countMultiplier = (ticks << Shift) / (end - start);
        if (s_countMultiplier == 0)
        {
            return false;
        }

        Log.Line("time: local APIC timer at "u8).Decimal(ticks * (NanosecondsPerSecond / 1000) / (end - start)).Text(" kHz"u8).End();
        return true;
    }

    // The read that was interrupted least, and when it was.
    private static uint ReadCount(out ulong time)
    {
        const int Attempts = 5;
        uint count = 0;
        ulong least = ulong.MaxValue;
        time = 0;
        for (int i = 0; i < Attempts; i++)
        {
            ulong before = SystemTime.Now;
            uint read = LocalApic.ReadTimerCount();
            ulong took = SystemTime.Now - before;
            if (took < least)
            {
                least = took;
                time = before + took / 2;
                count = read;
            }
        }

        return count;
    }

    /// <summary>Whether this CPU's timer is set and has not fired: nothing that it was set for is due.</summary>
    internal static bool IsSet => s_armed[Cpu.Number] != Never;

    /// <summary>What L0 knows of this CPU's timer is lost, or late: it is set anew when something has to be waited for.</summary>
    internal static void Forget() => s_armed[Cpu.Number] = Never;

    /// <summary>
    /// Whether this CPU's timer has to be set to fire in time. One that fires earlier is left alone, to be set anew then: setting it is an exit to L0.
    /// </summary>
    /// <param name="deadline">When it is to fire, ns since boot; <see cref="Never"/> when it need not.</param>
    /// <param name="now">ns since boot.</param>
    internal static bool MustSet(ulong deadline, ulong now) => MustSet(s_armed[Cpu.Number], deadline, now);

    /// <summary>Whether a timer has to be set. One whose time has passed may have fired already: nothing is left to its interrupt.</summary>
    /// <param name="armed">What it is set to; <see cref="Never"/> while it is off.</param>
    /// <param name="deadline">When it is to fire at the latest.</param>
    /// <param name="now">System time in ns.</param>
    internal static bool MustSet(ulong armed, ulong deadline, ulong now) => armed > deadline || (armed < deadline && armed <= now);

    /// <summary>Sets this CPU's timer, in place of what it was set to.</summary>
    /// <param name="deadline">System time in ns; one that has passed fires at once; <see cref="Never"/> turns the timer off. One
    /// that is far off may fire early.</param>
    /// <param name="now">System time in ns.</param>
    internal static void Set(ulong deadline, ulong now)
    {
        s_armed[Cpu.Number] = deadline;
        L0Counters.Count(L0Request.Timer);
        if (s_usesDeadline)
        {
            // 0 turns it off (SDM vol. 3, 11.5.4.1).
            ulong tsc = deadline == Never ? 0 : SystemTime.ToTsc(deadline);
            Cpu.WriteMsr(Msr.TscDeadline, deadline != Never && tsc == 0 ? 1 : tsc);
            return;
        }

        LocalApic.SetTimerCount(deadline == Never ? 0 : Count(deadline, now));
    }

    private static uint Count(ulong deadline, ulong now)
    {
        if (deadline <= now)
        {
            return 1;
        }

        ulong count = CountOf(System.Math.Min(deadline - now, MaximumWait), s_countMultiplier);
        return (uint)System.Math.Max(1, System.Math.Min(count, uint.MaxValue));
    }

    /// <summary>Bus clocks in a time of at most a second, rounded up so that the interrupt is not early.</summary>
    internal static ulong CountOf(ulong nanoseconds, ulong multiplier)
    {
        ulong high = System.Math.BigMul(nanoseconds, multiplier, out ulong low);
        return ((high << (64 - Shift)) | (low >> Shift)) + 1;
    }

    // What is due is found by the work loop, which always looks; here only the hardware's state is kept in step.
    private sealed class Expired : InterruptHandler
    {
        public override void Handle() => s_armed[Cpu.Number] = Never;
    }
}
