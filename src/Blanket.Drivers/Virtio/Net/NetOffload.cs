using System;

namespace Blanket.Drivers.Virtio.Net;

/// <summary>Translation between virtio's packet header and <see cref="PacketOffload"/>, with every field checked.</summary>
internal static class NetOffload
{
    private const int TcpChecksumOffset = 16;
    private const int TcpDataOffset = 12;
    private const int MinimumTcpHeader = 20;

    /// <summary>What the device said of a received packet (virtio 1.2, 5.1.6.4).</summary>
    /// <param name="header">The header, copied once.</param>
    /// <param name="features">What was negotiated.</param>
    /// <param name="start">The packet's bytes in its first buffer.</param>
    /// <param name="length">Bytes of the whole packet.</param>
    /// <param name="offload">The result.</param>
    /// <returns>False when it contradicts the packet or the negotiation: the packet is dropped.</returns>
    public static bool TryFromDevice(
        in NetHeader header, ulong features, ReadOnlySpan<byte> start, uint length, out PacketOffload offload)
    {
        offload = default;
        bool mayHaveChecksum = (features & NetWire.GuestChecksum) != 0;
        // Flags and types that were not negotiated mean nothing.
        byte flags = mayHaveChecksum ? header.Flags : (byte)0;
        offload.ChecksumIsValid = (flags & NetWire.FlagDataValid) != 0;
        if ((flags & NetWire.FlagNeedsChecksum) != 0)
        {
            offload.NeedsChecksum = true;
            offload.ChecksumStart = header.ChecksumStart;
            offload.ChecksumOffset = header.ChecksumOffset;
            if (!IsChecksumInside(in offload, length))
            {
                return false;
            }
        }

        return header.GsoType == NetWire.GsoNone || TryTakeSegmentation(in header, features, start, length, ref offload);
    }

    /// <summary>What the device is told of a packet to send.</summary>
    /// <returns>False when the packet asks for what the device cannot do, or contradicts itself.</returns>
    public static bool TryToDevice(in PacketOffload offload, ulong features, uint length, out NetHeader header)
    {
        header = default;
        if (offload.NeedsChecksum)
        {
            if ((features & NetWire.Checksum) == 0 || !IsChecksumInside(in offload, length))
            {
                return false;
            }

            header.Flags = NetWire.FlagNeedsChecksum;
            header.ChecksumStart = offload.ChecksumStart;
            header.ChecksumOffset = offload.ChecksumOffset;
        }

        if (offload.Segmentation == SegmentationType.None)
        {
            return true;
        }

        ulong needed;
        switch (offload.Segmentation)
        {
            case SegmentationType.TcpIpv4:
                needed = NetWire.HostTso4;
                header.GsoType = NetWire.GsoTcpIpv4;
                break;
            case SegmentationType.TcpIpv6:
                needed = NetWire.HostTso6;
                header.GsoType = NetWire.GsoTcpIpv6;
                break;
            default:
                return false;
        }

        if (offload.HasEcn && (features & NetWire.HostEcn) != 0)
        {
            header.GsoType |= NetWire.GsoEcn;
        }

        header.HeaderLength = offload.HeaderLength;
        header.GsoSize = offload.SegmentSize;
        // A segmented packet's checksum is partial (5.1.6.2.1).
        return (features & needed) != 0 && offload.NeedsChecksum && offload.SegmentSize != 0
            && offload.HeaderLength >= offload.ChecksumStart + MinimumTcpHeader && offload.HeaderLength <= length;
    }

    private static bool IsChecksumInside(in PacketOffload offload, uint length) =>
        offload.ChecksumStart >= NetWire.MinimumFrame && (uint)offload.ChecksumStart + offload.ChecksumOffset + 2 <= length;

    private static bool TryTakeSegmentation(
        in NetHeader header, ulong features, ReadOnlySpan<byte> start, uint length, ref PacketOffload offload)
    {
        offload.HasEcn = (header.GsoType & NetWire.GsoEcn) != 0;
        ulong needed = offload.HasEcn ? NetWire.GuestEcn : 0;
        switch (header.GsoType & ~NetWire.GsoEcn)
        {
            case NetWire.GsoTcpIpv4:
                needed |= NetWire.GuestTso4;
                offload.Segmentation = SegmentationType.TcpIpv4;
                break;
            case NetWire.GsoTcpIpv6:
                needed |= NetWire.GuestTso6;
                offload.Segmentation = SegmentationType.TcpIpv6;
                break;
            default:
                return false;
        }

        offload.SegmentSize = header.GsoSize;
        // hdr_len is a hint that may be wrong (5.1.6.4.2): the TCP header tells.
        int dataOffset = offload.ChecksumStart + TcpDataOffset;
        if ((features & needed) != needed || !offload.NeedsChecksum || header.GsoSize == 0
            || offload.ChecksumOffset != TcpChecksumOffset || dataOffset >= start.Length)
        {
            return false;
        }

        int tcpHeader = (start[dataOffset] >> 4) * 4;
        uint headers = (uint)(offload.ChecksumStart + tcpHeader);
        if (tcpHeader < MinimumTcpHeader || headers > length || headers > ushort.MaxValue)
        {
            return false;
        }

        offload.HeaderLength = (ushort)headers;
        return true;
    }
}
