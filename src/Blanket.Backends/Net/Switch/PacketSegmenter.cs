using System;
using System.Buffers.Binary;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// Cuts large TCP packets into segments for receivers that cannot do it themselves. A segment has headers of its own; its
/// payload stays where it is in the large packet, which lives until the last segment has gone.
/// </summary>
internal sealed class PacketSegmenter : PacketSource
{
    /// <summary>Segments in flight at most, of all packets.</summary>
    internal const int Capacity = 128;

    /// <summary>Segments of one packet at most: 64 KiB in segments of 1,000 bytes. A guest must not make thousands of one packet.</summary>
    internal const int MaximumSegments = 66;

    private const int MaximumFragments = 24;
    private const int None = -1;
    private const byte TcpFin = 0x01;
    private const byte TcpPush = 0x08;
    private const byte TcpCongestionWindowReduced = 0x80;

    private readonly NetworkSwitch _switch;
    private readonly Packet[] _segments = new Packet[Capacity];
    private readonly Packet?[] _wholes = new Packet?[Capacity];
    private SpinLock _lock;
    private int _free = None;

    internal PacketSegmenter(NetworkSwitch owner, HeaderMemory headers)
    {
        _switch = owner;
        _lock = new SpinLock(LockClass.NetworkSwitch);
        for (int i = 0; i < Capacity; i++)
        {
            _segments[i] = new Packet(this, i, MaximumFragments) { Next = _free };
            _segments[i].SetHeaderMemory(headers.Address(i));
            _free = i;
        }
    }

    /// <inheritdoc/>
    internal override bool MayWait => true;

    /// <inheritdoc/>
    internal override void Released(Packet packet)
    {
        Packet? whole = _wholes[packet.Index];
        _wholes[packet.Index] = null;
        _lock.Acquire();
        packet.Next = _free;
        _free = packet.Index;
        _lock.Release();
        if (whole != null)
        {
            whole.Release();
        }
    }

    /// <summary>Gives a port the segments of a packet. What cannot be cut, or would take too many segments, is dropped.</summary>
    internal void Segment(SwitchPort port, Packet whole)
    {
        ref readonly PacketHeaders headers = ref whole.Headers;
        bool isIpv4 = whole.Offload.Segmentation == SegmentationType.TcpIpv4;
        uint size = whole.Offload.SegmentSize;
        bool canCut = headers.Transport != 0 && headers.Protocol == PacketHeaders.Tcp && size != 0
            && whole.Offload.Segmentation != SegmentationType.Udp && (isIpv4 ? headers.IsIpv4 : headers.IsIpv6);
        uint payload = canCut ? whole.Length - (uint)headers.Payload : 0;
        if (!canCut || (payload + size - 1) / size > MaximumSegments)
        {
            port.Statistics.CountDropped();
            return;
        }

        uint done = 0;
        PayloadCursor cursor = new() { Piece = -1, Offset = (uint)headers.Payload };
        do
        {
            uint length = Math.Min(size, payload - done);
            Packet? segment = Take();
            if (segment == null)
            {
                port.Statistics.CountDropped();
                return;
            }

            whole.AddReference();
            _wholes[segment.Index] = whole;
            if (TryBuild(segment, whole, ref cursor, done, length, done + length == payload)
                && (port.CanChecksum(segment) || segment.TryCompleteChecksum()))
            {
                _switch.Give(port, segment);
            }
            else
            {
                port.Statistics.CountDropped();
            }

            segment.Release();
            done += length;
        }
        while (done < payload);
    }

    private Packet? Take()
    {
        _lock.Acquire();
        int index = _free;
        if (index != None)
        {
            _free = _segments[index].Next;
        }

        _lock.Release();
        if (index == None)
        {
            return null;
        }

        _segments[index].Start();
        return _segments[index];
    }

    private static bool TryBuild(Packet segment, Packet whole, ref PayloadCursor cursor, uint position, uint length, bool isLast)
    {
        int headerLength = whole.Headers.Payload;
        segment.HeaderLength = headerLength;
        segment.Length = (uint)headerLength + length;
        segment.Headers = whole.Headers;
        segment.Ingress = whole.Ingress;
        segment.IsFlooded = whole.IsFlooded || !whole.Source.MayWait;
        whole.Header.Slice(0, headerLength).CopyTo(segment.Header);
        PatchNetwork(segment, position / whole.Offload.SegmentSize);
        PatchTransport(segment, position, isLast);
        segment.Offload.NeedsChecksum = true;
        segment.Offload.ChecksumStart = (ushort)segment.Headers.Transport;
        segment.Offload.ChecksumOffset = (ushort)segment.Headers.ChecksumOffset;
        return TryAppendRange(segment, whole, ref cursor, length);
    }

    private static void PatchNetwork(Packet segment, uint number)
    {
        Span<byte> ip = segment.Header.Slice(segment.Headers.Network);
        uint length = segment.Length - (uint)segment.Headers.Network;
        if (segment.Headers.IsIpv6)
        {
            BinaryPrimitives.WriteUInt16BigEndian(ip.Slice(4), (ushort)(length - 40));
            return;
        }

        ushort identification = BinaryPrimitives.ReadUInt16BigEndian(ip.Slice(4));
        BinaryPrimitives.WriteUInt16BigEndian(ip.Slice(2), (ushort)length);
        BinaryPrimitives.WriteUInt16BigEndian(ip.Slice(4), unchecked((ushort)(identification + number)));
        BinaryPrimitives.WriteUInt16BigEndian(ip.Slice(10), 0);
        InternetChecksum sum = default;
        sum.Add(ip.Slice(0, (ip[0] & 15) * 4));
        BinaryPrimitives.WriteUInt16BigEndian(ip.Slice(10), sum.Complement());
    }

    private static void PatchTransport(Packet segment, uint position, bool isLast)
    {
        Span<byte> tcp = segment.Header.Slice(segment.Headers.Transport);
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(tcp.Slice(4));
        BinaryPrimitives.WriteUInt32BigEndian(tcp.Slice(4), unchecked(sequence + position));
        if (!isLast)
        {
            tcp[13] &= unchecked((byte)~(TcpFin | TcpPush));
        }

        if (position != 0)
        {
            // RFC 3168, 6.1.2: only the first of a burst says it.
            tcp[13] &= unchecked((byte)~TcpCongestionWindowReduced);
        }

        uint length = segment.Length - (uint)segment.Headers.Transport;
        BinaryPrimitives.WriteUInt16BigEndian(tcp.Slice(16), segment.Headers.PseudoHeaderSum(segment.Header, length));
    }

    /// <summary>Lets a segment refer to the bytes of the whole packet that come next.</summary>
    private static bool TryAppendRange(Packet segment, Packet whole, ref PayloadCursor cursor, uint length)
    {
        while (length != 0 && cursor.Piece < whole.FragmentCount)
        {
            DmaSegment piece = cursor.Piece < 0 ? whole.HeaderSegment : whole.Fragments[cursor.Piece];
            uint count = Math.Min(length, piece.Length - cursor.Offset);
            if (!segment.TryAppend(piece.Address + cursor.Offset, count))
            {
                return false;
            }

            length -= count;
            cursor.Offset += count;
            if (cursor.Offset == piece.Length)
            {
                cursor.Piece++;
                cursor.Offset = 0;
            }
        }

        return length == 0;
    }

    /// <summary>How far the payload of a packet has been given to segments.</summary>
    private struct PayloadCursor
    {
        /// <summary>The piece, counted as <see cref="Packet.Fragments"/>; -1 is the copied beginning.</summary>
        internal int Piece;

        /// <summary>Bytes of the piece that are headers or another segment's already; not more than it has.</summary>
        internal uint Offset;
    }
}
