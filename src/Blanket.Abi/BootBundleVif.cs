using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Blanket.Abi;

/// <summary>One network interface of a guest.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleVif
{
    /// <summary>The guest's address on this interface: unicast, not zero, unique in the bundle.</summary>
    public BootBundleMac Mac;

    /// <summary>Largest IP packet in bytes, 68 to 65521; 0 means that of the bridge.</summary>
    public ushort Mtu;

    /// <summary>Index of the bridge.</summary>
    public uint Bridge;

    /// <summary>Device number in xenstore, unique in its guest.</summary>
    public uint DeviceId;

    /// <summary>Bytes that the guest may send in each interval, as in netback's xenstore node <c>rate</c>; 0 means no limit.</summary>
    public ulong RateBytes;

    /// <summary>The interval in microseconds; 0 exactly when <see cref="RateBytes"/> is.</summary>
    public uint RateIntervalMicroseconds;

    /// <summary>Number of used <see cref="Addresses"/>; 0 means that the guest may use any address.</summary>
    public uint AddressCount;

    /// <summary>IP addresses that the guest may use.</summary>
    public BootBundleAddresses Addresses;
}

/// <summary>IP addresses of a vif.</summary>
[InlineArray(Size)]
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleAddresses
{
    /// <summary>Most addresses of a vif.</summary>
    public const int Size = 8;

    private BootBundleAddress _first;
}

/// <summary>An IP address or network.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct BootBundleAddress
{
    /// <summary><see cref="BootBundle.AddressIPv4"/> or <see cref="BootBundle.AddressIPv6"/>.</summary>
    public byte Family;

    /// <summary>Bits that count: 32 or 128 for a single address.</summary>
    public byte PrefixLength;

    /// <summary>Zero.</summary>
    public ushort Reserved;

    /// <summary>The address in network order; an IPv4 address is in the first four bytes, the others are zero.</summary>
    public BootBundleAddressBytes Bytes;
}

/// <summary>Bytes of an IP address.</summary>
[InlineArray(Size)]
public struct BootBundleAddressBytes
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 16;

    private byte _first;
}

/// <summary>A bridge: the vifs that name it and, with <see cref="Nic"/>, one of L0's NICs reach each other.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleBridge
{
    /// <summary>Unique name, such as <c>xenbr0</c>.</summary>
    public BootBundleShortName Name;

    /// <summary>L0's NIC, counted from 0 in the order of PCI addresses, of one bridge only; <see cref="BootBundle.None"/> for a bridge inside L1.</summary>
    public uint Nic;

    /// <summary>Zero.</summary>
    public uint Reserved;
}
