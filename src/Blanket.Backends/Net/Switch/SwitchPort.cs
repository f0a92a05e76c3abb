using Blanket.Drivers;

namespace Blanket.Backends;

/// <summary>One side of a switch: a guest's interface or one of L0's.</summary>
internal abstract class SwitchPort
{
    /// <summary>Number in the switch; -1 while it is in none.</summary>
    internal int Index = -1;

    /// <summary>What passed through.</summary>
    internal PortStatistics Statistics;

    /// <summary>Which packets may come in; null for all.</summary>
    internal PacketFilter? Filter;

    /// <summary>Whether a packet whose checksum is left to the device can be taken as it is.</summary>
    internal abstract bool CanChecksum(Packet packet);

    /// <summary>Whether a packet whose segmentation is left to the device can be taken as it is.</summary>
    internal abstract bool CanSegment(SegmentationType type);

    /// <summary>Takes a packet, with the reference that the caller has; false when there is no room or it does not fit.</summary>
    internal abstract bool TryTake(Packet packet);

    /// <summary>Several packets may have been taken or released: a good time to tell the other side once.</summary>
    internal abstract void EndBurst();
}
