namespace Blanket.Lab.Bench;

/// <summary>A row with its values, in nanoseconds of the guest for one operation; null where a bed has none.</summary>
/// <param name="Row">What was measured.</param>
/// <param name="Native">The kernel in L1's place.</param>
/// <param name="StockXen">The guest on stock Xen.</param>
/// <param name="Blanket">The guest on Blanket.</param>
public sealed record BenchResult(BenchRow Row, long? Native, long? StockXen, long? Blanket)
{
    /// <summary>What Blanket adds to native in parts of what stock Xen adds; null where that has no meaning.</summary>
    public double? AddedShare =>
        Native is long native && StockXen is long xen && Blanket is long blanket && xen > native
            ? (blanket - native) / (double)(xen - native)
            : null;

    /// <summary>A value in parts of native, or null.</summary>
    public double? Ratio(long? value) => value is long time && Native is long native && native > 0 ? time / (double)native : null;
}
