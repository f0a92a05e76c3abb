using System.Runtime.InteropServices;

namespace Blanket.Abi;

/// <summary>One disk of a guest, backed by a whole disk of L0.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleDisk
{
    /// <summary>The virtual device as configured, such as <c>xvda</c>.</summary>
    public BootBundleShortName Name;

    /// <summary>Serial of L0's disk; unique in the bundle.</summary>
    public BootBundleSerial Serial;

    /// <summary>Number of the virtual device in xenstore (xen-vbd-interface(7)); unique in its guest.</summary>
    public uint VirtualDevice;

    /// <summary><see cref="BootBundle.DiskReadOnly"/> and <see cref="BootBundle.DiskNoDiscard"/>.</summary>
    public uint Flags;

    /// <summary>Requests that the guest may make a second; 0 means no limit.</summary>
    public uint RequestsPerSecond;

    /// <summary>Bytes that the guest may read and write a second, together; 0 means no limit.</summary>
    public ulong BytesPerSecond;
}
