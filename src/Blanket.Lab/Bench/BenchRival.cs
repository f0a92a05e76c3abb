namespace Blanket.Lab.Bench;

/// <summary>What Blanket is compared with, besides the kernel in its place: the other choice that somebody has on the same L0.</summary>
/// <param name="Bed">Its name on the command line.</param>
/// <param name="JsonName">Its name in JSON.</param>
/// <param name="Title">Its name for people.</param>
/// <param name="ShortTitle">The same in a ratio.</param>
/// <param name="Where">Where a guest runs with it.</param>
public sealed record BenchRival(string Bed, string JsonName, string Title, string ShortTitle, string Where)
{
    /// <summary>On KVM: Debian's Xen with a Debian dom0 as the second layer.</summary>
    public static BenchRival StockXen { get; } = new("xen", "stock_xen", "stock Xen", "Xen", "on stock Xen");

    /// <summary>
    /// On Xen: what a second layer without drivers for Xen's PV devices sees. Linux itself uses them here, which is more than
    /// a second layer could make of them.
    /// </summary>
    public static BenchRival EmulatedDevices { get; } = new("emulated", "emulated_devices", "emulated devices", "emulated", "on emulated devices");
}
