namespace Blanket.Lab.Bench;

/// <summary>A row with its values, in nanoseconds of the guest for one operation; null where a bed has none.</summary>
/// <param name="Row">What was measured.</param>
/// <param name="Native">The kernel in L1's place.</param>
/// <param name="Rival">What Blanket is compared with (<see cref="BenchRival"/>).</param>
/// <param name="Blanket">The guest on Blanket.</param>
public sealed record BenchResult(BenchRow Row, long? Native, long? Rival, long? Blanket)
{
    /// <summary>What Blanket adds to native in parts of what the rival adds; null where that has no meaning.</summary>
    public double? AddedShare =>
        Native is long native && Rival is long rival && Blanket is long blanket && rival > native
            ? (blanket - native) / (double)(rival - native)
            : null;

    /// <summary>A value in parts of another, or null.</summary>
    public static double? Ratio(long? value, long? divisor) => value is long time && divisor is long unit && unit > 0 ? time / (double)unit : null;
}
