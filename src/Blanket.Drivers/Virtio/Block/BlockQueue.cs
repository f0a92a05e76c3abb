using System;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Block;

/// <summary>One request queue of a disk: the ring, and what the driver knows of each request in it. Locked by the ring's lock.</summary>
internal sealed class BlockQueue
{
    private readonly Virtqueue _ring;
    private readonly BlockRequestMemory _memory;
    private readonly uint[] _tags;
    private readonly bool[] _isInternal;
    private readonly LocalCompletions _local;
    private bool _hasRefused;

    public BlockQueue(Virtqueue ring, ulong memory)
    {
        _ring = ring;
        _memory = new BlockRequestMemory(memory);
        _tags = new uint[ring.Capacity];
        _isInternal = new bool[ring.Capacity];
        _local = new LocalCompletions(2 * ring.Capacity);
    }

    public Virtqueue Ring => _ring;

    /// <summary>Puts a request that was checked into the ring.</summary>
    /// <returns>False when there is no room, which is remembered.</returns>
    public bool TrySubmit(uint type, in BlockRequest request, uint rangeFlags, ReadOnlySpan<DmaSegment> segments)
    {
        bool hasRange = type is BlockWire.TypeDiscard or BlockWire.TypeWriteZeroes;
        bool deviceWrites = type == BlockWire.TypeIn;
        _ring.Lock.Acquire();
        int buffers = 2 + (hasRange ? 1 : segments.Length);
        if (!HasLocalRoom || !_ring.TryBegin(buffers, out DescriptorChain chain))
        {
            return Refuse();
        }

        ushort id = chain.Head;
        _memory.Prepare(id, type, type == BlockWire.TypeFlush || hasRange ? 0 : request.Sector);
        _ring.Append(ref chain, _memory.HeaderAddress(id), BlockRequestMemory.HeaderSize, false);
        if (hasRange)
        {
            _memory.PrepareRange(id, request.Sector, (uint)request.SectorCount, rangeFlags);
            _ring.Append(ref chain, _memory.RangeAddress(id), BlockRequestMemory.RangeSize, false);
        }
        else
        {
            _ring.Append(ref chain, segments, deviceWrites);
        }

        _ring.Append(ref chain, _memory.StatusAddress(id), 1, true);
        _tags[id] = request.Tag;
        _isInternal[id] = false;
        _ring.Add(ref chain);
        _ring.Lock.Release();
        return true;
    }

    /// <summary>Asks for the disk's id, 20 bytes.</summary>
    public bool TrySubmitGetId(ulong destination)
    {
        _ring.Lock.Acquire();
        bool hasRoom = _ring.TryBegin(3, out DescriptorChain chain);
        if (hasRoom)
        {
            ushort id = chain.Head;
            _memory.Prepare(id, BlockWire.TypeGetId, 0);
            _ring.Append(ref chain, _memory.HeaderAddress(id), BlockRequestMemory.HeaderSize, false);
            _ring.Append(ref chain, destination, BlockWire.IdLength, true);
            _ring.Append(ref chain, _memory.StatusAddress(id), 1, true);
            _isInternal[id] = true;
            _ring.Add(ref chain);
        }

        _ring.Lock.Release();
        return hasRoom;
    }

    /// <summary>Ends a request without the device; it is reported when the queue is served.</summary>
    public bool TryEndLocally(uint tag, BlockStatus status)
    {
        _ring.Lock.Acquire();
        if (!HasLocalRoom)
        {
            return Refuse();
        }

        _local.Add(tag, (byte)status);
        _ring.Lock.Release();
        return true;
    }

    /// <summary>Shows the device what was submitted.</summary>
    /// <param name="mustServe">Requests ended locally wait to be reported.</param>
    /// <returns>Whether the device is to be notified.</returns>
    public bool Publish(out bool mustServe)
    {
        _ring.Lock.Acquire();
        bool mustNotify = _ring.Publish();
        mustServe = _local.Count != 0;
        _ring.Lock.Release();
        return mustNotify;
    }

    /// <summary>Takes one request that ended.</summary>
    /// <param name="tag">The client's name for it.</param>
    /// <param name="status">How it ended.</param>
    /// <param name="isInternal">The driver's own request.</param>
    /// <param name="hasWrongLength">The device claims to have written more than the request has room for.</param>
    public bool TryTakeCompletion(out uint tag, out BlockStatus status, out bool isInternal, out bool hasWrongLength)
    {
        isInternal = false;
        hasWrongLength = false;
        _ring.Lock.Acquire();
        bool found = _local.TryTake(out tag, out byte localStatus);
        status = (BlockStatus)localStatus;
        if (!found && _ring.TryTakeUsed(out ushort id, out uint length))
        {
            found = true;
            tag = _tags[id];
            isInternal = _isInternal[id];
            hasWrongLength = length == uint.MaxValue;
            status = hasWrongLength ? BlockStatus.Error : Translate(_memory.ReadStatus(id));
        }

        _ring.Lock.Release();
        return found;
    }

    /// <summary>Asks for an interrupt at the next completion; false when there is one already.</summary>
    public bool TryRequestInterrupt()
    {
        _ring.Lock.Acquire();
        bool isIdle = _local.Count == 0 && _ring.TryRequestInterrupt();
        _ring.Lock.Release();
        return isIdle;
    }

    /// <summary>Whether a request was refused since this was last asked, while there is room now.</summary>
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

    /// <summary>The device was reset: what it had ends in errors. The lock is held.</summary>
    public void GiveUp()
    {
        int from = 0;
        while (_ring.TryFindInFlight(ref from, out ushort id))
        {
            if (!_isInternal[id])
            {
                _local.Add(_tags[id], (byte)BlockStatus.Error);
            }
        }
    }

    // What is in flight may have to end locally, at a reset: room for it is kept.
    private bool HasLocalRoom => _local.Count + _ring.InFlight < _local.Capacity;

    private bool Refuse()
    {
        _hasRefused = true;
        _ring.Lock.Release();
        return false;
    }

    private static BlockStatus Translate(byte status) => status switch
    {
        BlockWire.StatusOk => BlockStatus.Success,
        BlockWire.StatusUnsupported => BlockStatus.Unsupported,
        _ => BlockStatus.Error,
    };
}
