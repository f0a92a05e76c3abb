namespace Blanket.Backends;

/// <summary>How a guest sees a disk.</summary>
public struct VbdSettings
{
    /// <summary>Number of the virtual device (xen-vbd-interface(7)): 51712 for xvda. Unique in its guest.</summary>
    public uint VirtualDevice;

    /// <summary>The guest may not write, whatever L0's disk allows.</summary>
    public bool IsReadOnly;

    /// <summary>Discard is not offered, whatever L0's disk can.</summary>
    public bool NoDiscard;

    /// <summary>Bytes that the guest may read and write a second, together; 0 for no limit.</summary>
    public ulong BytesPerSecond;

    /// <summary>Requests of any kind that the guest may make a second; 0 for no limit.</summary>
    public uint RequestsPerSecond;

    /// <summary>Whether there is a limit.</summary>
    public readonly bool IsLimited => (BytesPerSecond | RequestsPerSecond) != 0;
}
