using System;
using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen.Io;

/// <summary>Numbers of io/netif.h.</summary>
public static class Netif
{
    /// <summary>XEN_NETIF_NR_SLOTS_MIN: slots of a packet that every backend must accept.</summary>
    public const int MinimumSlots = 18;

    /// <summary>XEN_NETIF_MAX_TX_SIZE: bytes of a packet at most.</summary>
    public const int MaximumPacket = 0xffff;

    /// <summary>Bytes of an entry of a transmit ring.</summary>
    public const int TransmitEntrySize = 12;

    /// <summary>Bytes of an entry of a receive ring.</summary>
    public const int ReceiveEntrySize = 8;

    /// <summary>NETIF_RSP_DROPPED.</summary>
    public const short Dropped = -2;

    /// <summary>NETIF_RSP_ERROR.</summary>
    public const short Error = -1;

    /// <summary>NETIF_RSP_OKAY.</summary>
    public const short Okay = 0;

    /// <summary>NETIF_RSP_NULL: the answer to an extra-info slot.</summary>
    public const short Null = 1;

    /// <summary>XEN_NETIF_EXTRA_TYPE_GSO.</summary>
    public const byte ExtraGso = 1;

    /// <summary>XEN_NETIF_EXTRA_TYPE_MAX: types from here on are unknown; 0 is none either.</summary>
    public const byte ExtraMaximum = 5;

    /// <summary>XEN_NETIF_EXTRA_FLAG_MORE: another extra-info slot follows.</summary>
    public const byte ExtraMore = 1;

    /// <summary>XEN_NETIF_GSO_TYPE_TCPV4.</summary>
    public const byte GsoTcpIpv4 = 1;

    /// <summary>XEN_NETIF_GSO_TYPE_TCPV6.</summary>
    public const byte GsoTcpIpv6 = 2;
}

/// <summary>Flags of a transmit request: NETTXF_*.</summary>
[Flags]
public enum NetifTransmitFlags : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>NETTXF_csum_blank: the protocol's checksum is to be filled in.</summary>
    ChecksumBlank = 1,

    /// <summary>NETTXF_data_validated: the data need no check.</summary>
    DataValidated = 2,

    /// <summary>NETTXF_more_data: the packet goes on in the next request.</summary>
    MoreData = 4,

    /// <summary>NETTXF_extra_info: extra-info slots follow.</summary>
    ExtraInfo = 8,
}

/// <summary>Flags of a receive response: NETRXF_*.</summary>
[Flags]
public enum NetifReceiveFlags : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>NETRXF_data_validated: the data need no check.</summary>
    DataValidated = 1,

    /// <summary>NETRXF_csum_blank: the protocol's checksum has not been filled in.</summary>
    ChecksumBlank = 2,

    /// <summary>NETRXF_more_data: the packet goes on in the next response.</summary>
    MoreData = 4,

    /// <summary>NETRXF_extra_info: extra-info slots follow.</summary>
    ExtraInfo = 8,
}

/// <summary>struct netif_tx_request.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct NetifTransmitRequest
{
    /// <summary>Grant of the page.</summary>
    public uint Reference;

    /// <summary>Offset in the page, in bytes.</summary>
    public ushort Offset;

    /// <summary>NETTXF_*.</summary>
    public NetifTransmitFlags Flags;

    /// <summary>The guest's name for the request.</summary>
    public ushort Id;

    /// <summary>In the first request of a packet the packet's bytes, in the others the request's.</summary>
    public ushort Size;
}

/// <summary>struct netif_tx_response, padded to the size of a ring entry.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct NetifTransmitResponse
{
    /// <summary>Copied from the request.</summary>
    public ushort Id;

    /// <summary>NETIF_RSP_*.</summary>
    public short Status;
}

/// <summary>struct netif_rx_request.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct NetifReceiveRequest
{
    /// <summary>The guest's name for the request.</summary>
    public ushort Id;

    /// <summary>Padding.</summary>
    public ushort Padding;

    /// <summary>Grant of the page to fill.</summary>
    public uint Reference;
}

/// <summary>struct netif_rx_response.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct NetifReceiveResponse
{
    /// <summary>Copied from the request.</summary>
    public ushort Id;

    /// <summary>Offset in the page, in bytes.</summary>
    public ushort Offset;

    /// <summary>NETRXF_*.</summary>
    public NetifReceiveFlags Flags;

    /// <summary>Bytes received, or NETIF_RSP_*.</summary>
    public short Status;
}

/// <summary>struct netif_extra_info with the fields of segmentation offload; in the place of a request or response.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct NetifExtraInfo
{
    /// <summary>XEN_NETIF_EXTRA_TYPE_*.</summary>
    public byte Type;

    /// <summary>XEN_NETIF_EXTRA_FLAG_*.</summary>
    public byte Flags;

    /// <summary>Payload bytes of a segment.</summary>
    public ushort GsoSize;

    /// <summary>XEN_NETIF_GSO_TYPE_*.</summary>
    public byte GsoType;

    /// <summary>Padding.</summary>
    public byte Padding;

    /// <summary>XEN_NETIF_GSO_FEAT_*; none is defined.</summary>
    public ushort GsoFeatures;
}
