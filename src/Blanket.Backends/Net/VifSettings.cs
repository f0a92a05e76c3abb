using System.Runtime.CompilerServices;

namespace Blanket.Backends;

/// <summary>Bytes of a MAC address in the order of transmission.</summary>
[InlineArray(Size)]
public struct MacAddress
{
    /// <summary>Bytes of an address.</summary>
    public const int Size = 6;

    private byte _first;
}

/// <summary>How a guest sees a network.</summary>
public struct VifSettings
{
    /// <summary>Number of the interface in its guest.</summary>
    public uint DeviceId;

    /// <summary>The guest's address; no other port of the switch can use it.</summary>
    public MacAddress Address;

    /// <summary>Largest IP packet in bytes, for the frontend's node "mtu"; 0 leaves the node out.</summary>
    public ushort Mtu;

    /// <summary>Bytes that the guest may send in each interval (netback's node "rate"); 0 for no limit.</summary>
    public ulong RateBytes;

    /// <summary>The interval in microseconds.</summary>
    public uint RateIntervalMicroseconds;

    /// <summary>Which packets the guest may send; null for all.</summary>
    public PacketFilter? Filter;
}
