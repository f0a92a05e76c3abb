using System;
using System.Buffers.Binary;
using Blanket.Abi.Xen.Io;

namespace Blanket.Drivers;

/// <summary>
/// Translation between the flags and extra information of io/netif.h and <see cref="PacketOffload"/>. netif does not say where a
/// checksum is; the packet's headers do.
/// </summary>
public static class NetifOffload
{
    private const int TcpChecksum = 16;
    private const int TcpFlags = 13;
    private const byte TcpCwr = 0x80;

    /// <summary>What the other side says of a packet.</summary>
    /// <param name="isBlank">The checksum field holds the pseudo-header's sum only.</param>
    /// <param name="isValidated">The data need no check.</param>
    /// <param name="large">XEN_NETIF_EXTRA_TYPE_GSO; type 0 for none.</param>
    /// <param name="header">The packet's beginning, which nobody else can change; completed where the other side left out what its flags imply.</param>
    /// <param name="headers">Where the headers are in it.</param>
    /// <param name="length">Bytes of the whole packet.</param>
    /// <param name="offload">The result.</param>
    /// <returns>False when the headers do not show how: the packet is dropped.</returns>
    public static bool TryFromWire(
        bool isBlank, bool isValidated, in NetifExtraInfo large, Span<byte> header, in PacketHeaders headers, uint length, out PacketOffload offload)
    {
        offload = default;
        offload.ChecksumIsValid = isValidated;
        bool isLarge = large.Type == Netif.ExtraGso;
        if (!isLarge && !isBlank)
        {
            return true;
        }

        if (headers.Transport == 0)
        {
            return false;
        }

        offload.NeedsChecksum = true;
        offload.ChecksumStart = (ushort)headers.Transport;
        offload.ChecksumOffset = (ushort)headers.ChecksumOffset;
        return !isLarge || TryTakeLarge(in large, header, in headers, length, !isBlank, ref offload);
    }

    /// <summary>Whether the flags of netif can tell the other side what is left to be done with a packet's checksum.</summary>
    /// <param name="offload">What is left.</param>
    /// <param name="headers">Where the packet's headers are.</param>
    public static bool CanSay(in PacketOffload offload, in PacketHeaders headers) =>
        headers.Transport != 0 && headers.Transport == offload.ChecksumStart && headers.ChecksumOffset == offload.ChecksumOffset;

    /// <summary>Extra information for a packet that is left to the other side to segment.</summary>
    public static NetifExtraInfo LargeInfo(in PacketOffload offload) => new()
    {
        Type = Netif.ExtraGso,
        GsoSize = offload.SegmentSize,
        GsoType = offload.Segmentation == SegmentationType.TcpIpv4 ? Netif.GsoTcpIpv4 : Netif.GsoTcpIpv6,
    };

    private static bool TryTakeLarge(
        in NetifExtraInfo large, Span<byte> header, in PacketHeaders headers, uint length, bool needsPseudoHeader, ref PacketOffload offload)
    {
        SegmentationType type = large.GsoType switch
        {
            Netif.GsoTcpIpv4 when headers.IsIpv4 => SegmentationType.TcpIpv4,
            Netif.GsoTcpIpv6 when headers.IsIpv6 => SegmentationType.TcpIpv6,
            _ => SegmentationType.None,
        };
        if (type == SegmentationType.None || headers.Protocol != PacketHeaders.Tcp || large.GsoSize == 0 || length < (uint)headers.Payload)
        {
            return false;
        }

        Span<byte> tcp = header.Slice(headers.Transport);
        if (needsPseudoHeader)
        {
            BinaryPrimitives.WriteUInt16BigEndian(tcp.Slice(TcpChecksum), headers.PseudoHeaderSum(header, length - (uint)headers.Transport));
        }

        if (length - (uint)headers.Payload <= large.GsoSize)
        {
            // One segment as it is.
            return true;
        }

        offload.Segmentation = type;
        offload.SegmentSize = large.GsoSize;
        offload.HeaderLength = (ushort)headers.Payload;
        offload.HasEcn = (tcp[TcpFlags] & TcpCwr) != 0;
        return true;
    }
}
