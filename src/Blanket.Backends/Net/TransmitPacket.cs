using System.Runtime.CompilerServices;
using Blanket.Abi.Xen.Io;

namespace Blanket.Backends;

/// <summary>A packet's slots of the transmit ring, copied once.</summary>
internal struct TransmitPacket
{
    /// <summary>The slots with data.</summary>
    internal Slots Requests;

    /// <summary>Slots with data; at most <see cref="NetLimits.ToleratedSlots"/>.</summary>
    internal int Count;

    /// <summary>Extra-info slots.</summary>
    internal int Extras;

    /// <summary>An extra-info slot has an unknown type.</summary>
    internal bool HasBadExtra;

    /// <summary>The extra-info slot about segmentation; its type is 0 when there is none.</summary>
    internal NetifExtraInfo Large;

    /// <summary>Slots of all kinds.</summary>
    internal readonly uint Total => (uint)(Count + Extras);

    /// <summary>Storage for the slots.</summary>
    [InlineArray(NetLimits.ToleratedSlots)]
    internal struct Slots
    {
        private NetifTransmitRequest _first;
    }
}
