using System;
using System.Diagnostics;
using Blanket.Lab.Bench.Profile;

namespace Blanket.Lab.Bench;

/// <summary>What a part of a guest's start took.</summary>
/// <param name="Time">Of the host's clock.</param>
/// <param name="Instructions">That the whole machine executed meanwhile; 0 where they are not counted.</param>
public readonly record struct DensityCost(TimeSpan Time, ulong Instructions)
{
    /// <summary>Measures one part after the other.</summary>
    /// <param name="counts">Counts instructions; null for none.</param>
    internal sealed class Meter(InstructionCounts? counts)
    {
        private readonly Stopwatch _watch = Stopwatch.StartNew();
        private ulong _instructions = counts?.Read() ?? 0;

        /// <summary>What was taken since the last call, or since this meter was made.</summary>
        internal DensityCost Take()
        {
            TimeSpan time = _watch.Elapsed;
            ulong instructions = counts?.Read() ?? 0;
            DensityCost cost = new(time, instructions - _instructions);
            _instructions = instructions;
            _watch.Restart();
            return cost;
        }
    }
}
