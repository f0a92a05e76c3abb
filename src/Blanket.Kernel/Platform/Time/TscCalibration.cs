using Blanket.Machine;

namespace Blanket.Kernel.Platform.Time;

/// <summary>Measures the TSC's frequency against another counter.</summary>
internal static class TscCalibration
{
    private const ulong IntervalsPerSecond = 100;
    private const int Attempts = 5;

    // A counter that stands still must not keep the machine from booting: longer than any interval at any TSC frequency.
    private const ulong MaximumTscTicks = 1UL << 32;

    /// <summary>Frequencies that are believed, in kHz.</summary>
    private const ulong MinimumKilohertz = 10_000, MaximumKilohertz = 100_000_000;

    private struct Sample
    {
        internal ulong Tsc;
        internal ulong Uncertainty;
        internal uint Reference;
    }

    /// <summary>Measures for 10 ms.</summary>
    /// <returns>False when the counter does not count or the result is not believable.</returns>
    internal static bool TryMeasure(ReferenceCounter counter, out ulong kilohertz)
    {
        kilohertz = 0;
        Sample start = TakeSample(counter);
        uint wanted = (uint)(counter.Frequency / IntervalsPerSecond);
        while (unchecked(counter.Read() - start.Reference & counter.Mask) < wanted)
        {
            if (Cpu.ReadTsc() - start.Tsc > MaximumTscTicks)
            {
                return false;
            }
        }

        Sample end = TakeSample(counter);
        return TryCompute(
            end.Tsc - start.Tsc, unchecked(end.Reference - start.Reference) & counter.Mask, counter.Frequency, out kilohertz);
    }

    // The read that was interrupted least: L0 may take the CPU away between any two instructions.
    private static Sample TakeSample(ReferenceCounter counter)
    {
        Sample best = default;
        best.Uncertainty = ulong.MaxValue;
        for (int i = 0; i < Attempts; i++)
        {
            ulong before = Cpu.ReadTsc();
            uint reference = counter.Read();
            ulong uncertainty = Cpu.ReadTsc() - before;
            if (uncertainty < best.Uncertainty)
            {
                best = new Sample { Tsc = before + uncertainty / 2, Uncertainty = uncertainty, Reference = reference };
            }
        }

        return best;
    }

    /// <summary>The frequency from two differences.</summary>
    /// <returns>False when it is not believable.</returns>
    internal static bool TryCompute(ulong tscTicks, uint referenceTicks, ulong frequency, out ulong kilohertz)
    {
        kilohertz = 0;
        if (referenceTicks == 0 || tscTicks > ulong.MaxValue / frequency)
        {
            return false;
        }

        kilohertz = (tscTicks * frequency / referenceTicks + 500) / 1000;
        return kilohertz is >= MinimumKilohertz and <= MaximumKilohertz;
    }
}
