using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>A packet as it left an interface.</summary>
internal sealed record SentPacket(byte[] Bytes, PacketOffload Offload, int Segments);

/// <summary>One of L0's interfaces, which keeps what is sent until it is told to finish it.</summary>
internal sealed class FakeNic : NetworkDevice
{
    private readonly List<Queue<(ulong Address, uint Tag)>> _buffers = new();
    private readonly List<(int Queue, uint Tag, DmaSegment[] Segments, PacketOffload Offload)> _pending = new();
    private NetworkCapabilities _capabilities;

    internal FakeNic(int queues = 1, uint bufferSize = 4096)
    {
        QueueCount = queues;
        _capabilities = new NetworkCapabilities
        {
            TransmitChecksum = true,
            TransmitTcpIpv4 = true,
            TransmitTcpIpv6 = true,
            MaximumSegments = 64,
            ReceiveBufferSize = bufferSize,
            Mtu = 1500,
        };
        for (int i = 0; i < queues; i++)
        {
            _buffers.Add(new Queue<(ulong, uint)>());
        }
    }

    internal ref NetworkCapabilities Settings => ref _capabilities;

    internal List<SentPacket> Sent { get; } = new();

    internal int PendingCount => _pending.Count;

    /// <summary>Packets that the device holds before it refuses.</summary>
    internal int Room { get; set; } = int.MaxValue;

    internal int Kicks { get; private set; }

    public override ReadOnlySpan<byte> MacAddress => [2, 0, 0, 0, 0, 99];

    public override bool IsLinkUp => true;

    public override ref readonly NetworkCapabilities Capabilities => ref _capabilities;

    public override int QueueCount { get; }

    public override int ReceiveCapacity(int queue) => 64;

    internal int BufferCount(int queue = 0) => _buffers[queue].Count;

    public override bool TrySend(int queue, ReadOnlySpan<DmaSegment> segments, in PacketOffload offload, uint tag)
    {
        Assert.InRange(queue, 0, QueueCount - 1);
        Assert.True(segments.Length <= _capabilities.MaximumSegments);
        Assert.True(_capabilities.TransmitChecksum || !offload.NeedsChecksum);
        Assert.True(offload.Segmentation == SegmentationType.None || offload.NeedsChecksum);
        lock (_pending)
        {
            Assert.DoesNotContain(_pending, pending => pending.Queue == queue && pending.Tag == tag);
            if (_pending.Count >= Room)
            {
                return false;
            }

            _pending.Add((queue, tag, segments.ToArray(), offload));
            return true;
        }
    }

    public override bool TrySupplyReceiveBuffer(int queue, ulong address, uint tag)
    {
        Assert.True(address + _capabilities.ReceiveBufferSize <= PhysicalMemory.Limit);
        lock (_buffers)
        {
            bool hasRoom = _buffers[queue].Count < ReceiveCapacity(queue);
            if (hasRoom)
            {
                _buffers[queue].Enqueue((address, tag));
            }

            return hasRoom;
        }
    }

    public override void Kick(int queue) => Kicks++;

    /// <summary>Sends what waits: memory is read only now.</summary>
    internal void Finish(int count = int.MaxValue)
    {
        bool wasFull = _pending.Count >= Room;
        HashSet<int> queues = new();
        for (; count > 0 && _pending.Count > 0; count--)
        {
            int queue;
            uint tag;
            DmaSegment[] segments;
            PacketOffload offload;
            lock (_pending)
            {
                (queue, tag, segments, offload) = _pending[0];
                _pending.RemoveAt(0);
            }

            Sent.Add(new SentPacket(
                segments.SelectMany(segment => PhysicalMemory.Bytes(segment.Address, (int)segment.Length).ToArray()).ToArray(), offload, segments.Length));
            Client!.Sent(queue, tag);
            queues.Add(queue);
        }

        foreach (int queue in queues)
        {
            Client!.InterruptEnd(queue);
            if (wasFull)
            {
                Client!.RoomAvailable(queue);
            }
        }
    }

    /// <summary>Receives a packet; false when there are too few buffers.</summary>
    internal bool Receive(byte[] bytes, PacketOffload offload = default, uint firstOffset = 0, int queue = 0, bool end = true)
    {
        int size = (int)_capabilities.ReceiveBufferSize;
        int needed = ((int)firstOffset + bytes.Length + size - 1) / size;
        if (_buffers[queue].Count < needed)
        {
            return false;
        }

        List<uint> tags = new();
        int done = 0;
        int offset = (int)firstOffset;
        for (int i = 0; i < needed; i++)
        {
            (ulong address, uint tag) = TakeBuffer(queue);
            int length = Math.Min(size - offset, bytes.Length - done);
            bytes.AsSpan(done, length).CopyTo(PhysicalMemory.Bytes(address + (uint)offset, length));
            done += length;
            offset = 0;
            tags.Add(tag);
        }

        Client!.Received(queue, tags.ToArray(), firstOffset, (uint)bytes.Length, in offload);
        if (end)
        {
            Client!.InterruptEnd(queue);
        }

        return true;
    }

    private (ulong Address, uint Tag) TakeBuffer(int queue)
    {
        lock (_buffers)
        {
            return _buffers[queue].Dequeue();
        }
    }

    internal uint NextBuffer(int index = 0) => _buffers[0].ElementAt(index).Tag;

    /// <summary>Gives up buffers that were reported behind the device's back.</summary>
    internal void Forget(int count)
    {
        for (; count > 0; count--)
        {
            _buffers[0].Dequeue();
        }
    }

    internal void ReturnBuffer(int queue = 0) => Client!.ReceiveBufferReturned(queue, _buffers[queue].Dequeue().Tag);
}
