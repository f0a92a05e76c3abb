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
}
