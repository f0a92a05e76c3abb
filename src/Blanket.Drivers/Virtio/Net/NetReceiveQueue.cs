using System;
using System.Runtime.InteropServices;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Net;

/// <summary>What came out of a receive queue.</summary>
internal struct ReceivedPacket
{
    /// <summary>Buffers that came back, the packet's in order.</summary>
    public int BufferCount;

    /// <summary>Bytes of the packet; 0 when the buffers came back without one.</summary>
    public uint Length;

    /// <summary>Checked offload state.</summary>
    public PacketOffload Offload;

    /// <summary>Why there is no packet; None when the buffers came back at a reset.</summary>
    public VirtioFault Fault;

    /// <summary>What is logged with the fault.</summary>
    public uint FaultDetail;
}

/// <summary>A receive queue (virtio 1.2, 5.1.6.3): buffers of one page, one descriptor each, with the header at the start of a packet's first.</summary>
internal sealed class NetReceiveQueue
{
    /// <summary>Bytes of a buffer.</summary>
    public const uint BufferSize = 4096;

    /// <summary>The most buffers of a packet: the largest frame and its header take 17.</summary>
    public const int MaximumBuffers = 17;

    private readonly Virtqueue _ring;
    private readonly ulong _features;
    private readonly uint _headerSize;
    private readonly bool _isMergeable;
    private readonly bool _hasOwnHeaderDescriptor;
    private readonly uint[] _tags;
    private readonly ulong[] _addresses;
    private readonly LocalCompletions _returned;
    private bool _awaitsReset;

    public NetReceiveQueue(Virtqueue ring, ulong features, uint headerSize)
    {
        _ring = ring;
        _features = features;
        _headerSize = headerSize;
        _isMergeable = (features & NetWire.MergeableBuffers) != 0;
        // Old legacy devices want the header in a descriptor of its own (5.1.6.1, 6.3).
        _hasOwnHeaderDescriptor = !_isMergeable && (features & (VirtioFeature.Version1 | VirtioFeature.AnyLayout)) == 0;
        _tags = new uint[ring.Capacity];
        _addresses = new ulong[ring.Capacity];
        _returned = new LocalCompletions(2 * ring.Capacity);
    }

    public Virtqueue Ring => _ring;

    /// <summary>Buffers that fit.</summary>
    public int Capacity => _ring.Capacity / BufferDescriptors;

    private bool MustReturn => _returned.Count != 0 && !_awaitsReset;

    private int BufferDescriptors => _hasOwnHeaderDescriptor ? 2 : 1;

    /// <summary>Gives the device a buffer.</summary>
    public bool TrySupply(ulong address, uint tag)
    {
        _ring.Lock.Acquire();
        // What is in flight may have to be returned at a reset: room for it is kept.
        bool hasRoom = _returned.Count + _ring.InFlight < _returned.Capacity;
        DescriptorChain chain = default;
        hasRoom = hasRoom && _ring.TryBegin(BufferDescriptors, out chain);
        if (hasRoom)
        {
            if (_hasOwnHeaderDescriptor)
            {
                _ring.Append(ref chain, address, _headerSize, true);
                _ring.Append(ref chain, address + _headerSize, BufferSize - _headerSize, true);
            }
            else
            {
                _ring.Append(ref chain, address, BufferSize, true);
            }

            _tags[chain.Head] = tag;
            _addresses[chain.Head] = address;
            _ring.Add(ref chain);
        }

        _ring.Lock.Release();
        return hasRoom;
    }

    /// <summary>Shows the device the new buffers; tells whether it is to be notified.</summary>
    public bool Publish(out bool mustServe)
    {
        _ring.Lock.Acquire();
        bool mustNotify = _ring.Publish();
        mustServe = MustReturn;
        _ring.Lock.Release();
        return mustNotify;
    }

    /// <summary>Takes the next packet, or buffers that come back without one.</summary>
    /// <param name="tags">Gets the buffers' tags; at least <see cref="MaximumBuffers"/>.</param>
    /// <param name="packet">What came.</param>
    /// <returns>False when there is nothing.</returns>
    public bool TryTake(Span<uint> tags, out ReceivedPacket packet)
    {
        packet = default;
        _ring.Lock.Acquire();
        if (MustReturn && _returned.TryTake(out tags[0], out _))
        {
            packet.BufferCount = 1;
        }
        else if (_ring.TryTakeUsed(out ushort first, out uint length))
        {
            tags[0] = _tags[first];
            packet.BufferCount = 1;
            Assemble(tags, first, length, ref packet);
        }

        _ring.Lock.Release();
        return packet.BufferCount != 0;
    }

    /// <summary>Asks for an interrupt at the next packet; false when there is one already.</summary>
    public bool TryRequestInterrupt()
    {
        _ring.Lock.Acquire();
        bool isIdle = !MustReturn && _ring.TryRequestInterrupt();
        _ring.Lock.Release();
        return isIdle;
    }

    /// <summary>The device was reset: its buffers come back. The lock is held.</summary>
    public void GiveUp()
    {
        int from = 0;
        _awaitsReset = false;
        while (_ring.TryFindInFlight(ref from, out ushort id))
        {
            _returned.Add(_tags[id]);
        }
    }

    private void Assemble(Span<uint> tags, ushort first, uint length, ref ReceivedPacket packet)
    {
        if (length == uint.MaxValue || length < _headerSize)
        {
            Drop(ref packet, VirtioFault.WrongLength, length);
            return;
        }

        NetHeader header = MemoryMarshal.Read<NetHeader>(PhysicalMemory.Bytes(_addresses[first], (int)NetWire.HeaderSize));
        int buffers = _isMergeable ? header.BufferCount : 1;
        if (buffers is 0 or > MaximumBuffers)
        {
            // Which buffers belong to which packet is not known from here on.
            _ring.Break(VirtioFault.BadPacketHeader, (uint)buffers);
            KeepUntilReset(tags, ref packet);
            return;
        }

        uint total = length;
        uint last = length;
        for (int i = 1; i < buffers; i++)
        {
            if (!_ring.TryTakeUsed(out ushort id, out uint more))
            {
                if (_ring.IsRunning)
                {
                    // The buffers of a packet come back together (5.1.6.4.1).
                    _ring.Break(VirtioFault.MissingBuffers, (uint)buffers);
                }

                KeepUntilReset(tags, ref packet);
                return;
            }

            tags[i] = _tags[id];
            packet.BufferCount = i + 1;
            if (last != BufferSize || more is 0 or > BufferSize)
            {
                // All but the last are used up to the end (5.1.6.4.1); the rest of this packet's buffers still has to be taken.
                packet.Fault = VirtioFault.WrongLength;
                packet.FaultDetail = last;
            }

            last = more;
            total = unchecked(total + more);
        }

        if (packet.Fault == VirtioFault.None)
        {
            Examine(in header, _addresses[first], Math.Min(length, BufferSize), total - _headerSize, ref packet);
        }
    }

    // The ring is not to be trusted, so they may be the device's still.
    private void KeepUntilReset(ReadOnlySpan<uint> tags, ref ReceivedPacket packet)
    {
        for (int i = 0; i < packet.BufferCount; i++)
        {
            _returned.Add(tags[i]);
        }

        _awaitsReset = true;
        packet = default;
    }

    private void Examine(in NetHeader header, ulong address, uint firstLength, uint length, ref ReceivedPacket packet)
    {
        ReadOnlySpan<byte> start = PhysicalMemory.Bytes(address + _headerSize, (int)(firstLength - _headerSize));
        if (length is < NetWire.MinimumFrame or > NetWire.MaximumFrame
            || !NetOffload.TryFromDevice(in header, _features, start, length, out packet.Offload))
        {
            Drop(ref packet, VirtioFault.BadPacketHeader, length);
            return;
        }

        packet.Length = length;
    }

    private static void Drop(ref ReceivedPacket packet, VirtioFault fault, uint detail)
    {
        packet.Fault = fault;
        packet.FaultDetail = detail;
    }
}
