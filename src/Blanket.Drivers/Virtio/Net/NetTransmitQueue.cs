using System;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Net;

/// <summary>A transmit queue (virtio 1.2, 5.1.6.2): a header of the driver's, then the packet's own memory.</summary>
internal sealed class NetTransmitQueue
{
    /// <summary>Bytes of a header's slot; one for each request id.</summary>
    public const uint HeaderSlot = 16;

    private readonly Virtqueue _ring;
    private readonly uint _headerSize;
    private readonly ulong _headers;
    private readonly uint[] _tags;
    private readonly LocalCompletions _dropped;
    private bool _hasRefused;

    public NetTransmitQueue(Virtqueue ring, ulong headers, uint headerSize)
    {
        _ring = ring;
        _headers = headers;
        _headerSize = headerSize;
        _tags = new uint[ring.Capacity];
        _dropped = new LocalCompletions(2 * ring.Capacity);
    }

    public Virtqueue Ring => _ring;

    /// <summary>Puts a packet into the ring.</summary>
    /// <returns>False when there is no room, which is remembered.</returns>
    public bool TrySend(in NetHeader header, ReadOnlySpan<DmaSegment> segments, uint tag)
    {
        _ring.Lock.Acquire();
        if (!HasLocalRoom || !_ring.TryBegin(1 + segments.Length, out DescriptorChain chain))
        {
            return Refuse();
        }

        ushort id = chain.Head;
        ulong address = _headers + id * HeaderSlot;
        PhysicalMemory.At<NetHeader>(address) = header;
        _ring.Append(ref chain, address, _headerSize, false);
        _ring.Append(ref chain, segments, false);
        _tags[id] = tag;
        _ring.Add(ref chain);
        _ring.Lock.Release();
        return true;
    }

    /// <summary>Drops a packet: it is reported as sent when the queue is served.</summary>
    public bool TryDrop(uint tag)
    {
        _ring.Lock.Acquire();
        if (!HasLocalRoom)
        {
            return Refuse();
        }

        _dropped.Add(tag);
        _ring.Lock.Release();
        return true;
    }

    /// <summary>Remembers that a packet was refused; always false.</summary>
    public bool TryLater()
    {
        _ring.Lock.Acquire();
        return Refuse();
    }

    /// <summary>Shows the device the new packets; tells whether it is to be notified.</summary>
    public bool Publish(out bool mustServe)
    {
        _ring.Lock.Acquire();
        bool mustNotify = _ring.Publish();
        mustServe = _dropped.Count != 0;
        _ring.Lock.Release();
        return mustNotify;
    }

    /// <summary>Takes a packet whose memory is no longer used.</summary>
    public bool TryTakeSent(out uint tag)
    {
        _ring.Lock.Acquire();
        bool found = _dropped.TryTake(out tag, out _);
        if (!found && _ring.TryTakeUsed(out ushort id, out _))
        {
            // The device writes nothing here; the length that it reports is of no use.
            tag = _tags[id];
            found = true;
        }

        _ring.Lock.Release();
        return found;
    }

    /// <summary>Asks for an interrupt when most of what is in flight has left; false when it has already.</summary>
    public bool TryRequestInterrupt()
    {
        _ring.Lock.Acquire();
        bool isIdle = _dropped.Count == 0 && _ring.TryRequestDelayedInterrupt();
        _ring.Lock.Release();
        return isIdle;
    }

    /// <summary>Whether a packet was refused since this was last asked, while there is room now.</summary>
    public bool TakeRoomAvailable()
    {
        _ring.Lock.Acquire();
        bool hasRoom = _hasRefused && HasLocalRoom && _ring.FreeDescriptors > 0;
        if (hasRoom)
        {
            _hasRefused = false;
        }

        _ring.Lock.Release();
        return hasRoom;
    }

    /// <summary>The device was reset: what it had is dropped. The lock is held.</summary>
    public void GiveUp()
    {
        int from = 0;
        while (_ring.TryFindInFlight(ref from, out ushort id))
        {
            _dropped.Add(_tags[id]);
        }
    }

    // What is in flight may have to be dropped at a reset: room for it is kept.
    private bool HasLocalRoom => _dropped.Count + _ring.InFlight < _dropped.Capacity;

    private bool Refuse()
    {
        _hasRefused = true;
        _ring.Lock.Release();
        return false;
    }
}
