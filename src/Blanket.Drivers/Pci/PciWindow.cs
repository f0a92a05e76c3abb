namespace Blanket.Drivers.Pci;

/// <summary>A range of addresses for BARs.</summary>
/// <param name="start">First address.</param>
/// <param name="end">First address above it; equal to the start when empty.</param>
public readonly struct PciWindow(ulong start, ulong end)
{
    /// <summary>First address.</summary>
    public readonly ulong Start = start;

    /// <summary>First address above it.</summary>
    public readonly ulong End = end;
}

/// <summary>Addresses that the host bridge forwards to bus 0 and that nothing else uses; set by the kernel before the probe.</summary>
public sealed class PciWindows
{
    /// <summary>Memory below 4 GiB.</summary>
    public PciWindow Memory;

    /// <summary>Memory for 64-bit BARs, anywhere.</summary>
    public PciWindow Memory64;

    /// <summary>I/O ports.</summary>
    public PciWindow Io;
}
