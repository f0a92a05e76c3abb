using System;
using System.Buffers.Binary;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Domains;
using Blanket.Core.Grants;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// One ring of a virtual disk and the queue of L0's disk that serves it. A request's pages go to the device as they are; a request for
/// which the device has no room waits, and those behind it wait in the ring.
/// </summary>
internal sealed class BlockRing : RingWorker
{
    /// <summary>No slot or segment.</summary>
    internal const int None = -1;

    /// <summary>Requests in flight at most: the entries of the largest ring.</summary>
    internal const int MaximumSlots = 128;

    private const int BytesOfSector = 512;

    private readonly VbdDevice _vbd;
    private readonly BlockDevice _device;
    private readonly int _queue;
    private readonly RingPages _pages = new(BlockLimits.MaximumRingPages);
    private readonly EventLink _events;
    private readonly SharedRing _ring = new(BlockLimits.MaximumRingPages);
    private readonly BlockSlot[] _slots = new BlockSlot[MaximumSlots];
    private readonly byte[] _freeSlots = new byte[MaximumSlots];
    private readonly Slab<BlockSegment> _segments = new(MaximumSlots * BlockLimits.MaximumIndirectSegments);
    private readonly DmaSegment[] _transfer = new DmaSegment[BlockLimits.MaximumIndirectSegments];
    private readonly byte[] _entry = new byte[Blkif.MaximumEntrySize];
    private readonly byte[] _indirect = new byte[BlockLimits.MaximumIndirectSegments * Blkif.SegmentSize];
    private BlkifLayout _layout;
    private int _freeCount;
    private int _sectorShift;
    private int _ended = None;

    // The request that the device had no room for.
    private int _waiting = None;

    // The barrier that has been taken; nothing behind it is taken before it is answered.
    private int _barrier = None;
    private bool _hasSubmitted;

    internal BlockRing(BackendBus bus, VbdDevice vbd, BlockDevice device, int queue)
        : base(bus)
    {
        _vbd = vbd;
        _device = device;
        _queue = queue;
        _events = new EventLink(bus, this);
    }

    /// <summary>What was answered so far. Written by the ring's worker only; whoever reads on another CPU may be a request late.</summary>
    internal BlockStatistics Statistics;

    private Domain Guest => _vbd.Domain;

    /// <summary>Starts on a frontend's ring.</summary>
    /// <param name="references">Grants of the ring's pages.</param>
    /// <param name="port">The frontend's event channel.</param>
    /// <param name="layout">ABI of the ring.</param>
    /// <param name="sectorShift">log2 of the bytes of the frontend's sectors.</param>
    /// <returns>0 or a negative errno; nothing is held then.</returns>
    internal int Attach(ReadOnlySpan<uint> references, uint port, BlkifLayout layout, int sectorShift)
    {
        int error = _pages.Pin(Guest, references);
        if (error != 0)
        {
            return error;
        }

        error = _ring.TryAttach(_pages.Frames, layout.EntrySize) ? _events.Bind(Guest, port) : -Abi.Xen.Errno.EINVAL;
        if (error != 0)
        {
            _pages.Release();
            return error;
        }

        _layout = layout;
        _sectorShift = sectorShift;
        ResetSlots();
        Open();
        return 0;
    }

    /// <summary>Lets go of the ring's pages and port. False while requests are in flight.</summary>
    internal bool TryFinishDetach()
    {
        if (!IsDrained)
        {
            return false;
        }

        _events.Close();
        _pages.Release();
        _segments.Clear();
        return true;
    }

    /// <summary>The device is done with one of a request's parts. Any CPU.</summary>
    internal void Ended(int index, BlockStatus status)
    {
        ref BlockSlot slot = ref _slots[index];
        if (Volatile.Read(ref slot.Outstanding) <= 0)
        {
            // A request that is not at the device: the device lies, and its driver did not notice.
            Log.Line("block device ended a request that it does not have, slot "u8).Decimal((uint)index).End();
            return;
        }

        if (status != BlockStatus.Success)
        {
            Interlocked.CompareExchange(ref slot.Status, (int)status, (int)BlockStatus.Success);
        }

        EndPart(index);
    }

    /// <inheritdoc/>
    private protected override bool IsIdle => InFlight == 0;

    private bool IsStalled => _waiting != None || _barrier != None;

    private int InFlight => _ring.Entries - _freeCount;

    /// <inheritdoc/>
    private protected override bool WorkOnRings()
    {
        FinishEnded();
        ContinueWaiting();
        StartBarrierWhenAlone();
        bool mayTake = IsOpen;
        if (mayTake)
        {
            TakeRequests();
        }

        KickDevice();
        if (mayTake && _ring.PublishResponses())
        {
            _events.Notify();
        }

        if (Volatile.Read(ref _ended) != None)
        {
            return true;
        }

        // A stalled ring asks for no notification: what it waits for comes from the device.
        return IsOpen && !IsStalled && _ring.ArmRequestEvent();
    }

    /// <inheritdoc/>
    private protected override void Report() => _vbd.Notice();

    private void ResetSlots()
    {
        _freeCount = _ring.Entries;
        for (int i = 0; i < _freeCount; i++)
        {
            _slots[i] = default;
            _freeSlots[i] = (byte)i;
        }

        _ended = None;
        _waiting = None;
        _barrier = None;
    }

    private void TakeRequests()
    {
        if (!_ring.TryCountRequests(out uint count))
        {
            Log.Line("domain "u8).Decimal(Guest.Id).Text(" broke the ring of vbd "u8).Decimal(_vbd.DeviceId).End();
            Break();
            return;
        }

        Span<byte> entry = new(_entry, 0, _layout.EntrySize);
        for (; count > 0 && !IsStalled; count--)
        {
            _ring.TakeRequest(entry);
            TakeRequest(new BlockRequestReader(entry, _layout));
        }
    }

    private void TakeRequest(BlockRequestReader request)
    {
        // There is a slot for each entry of the ring, and an entry is free again only when its slot is.
        int index = _freeSlots[--_freeCount];
        ref BlockSlot slot = ref _slots[index];
        slot = default;
        slot.Id = request.Id;
        slot.FirstSegment = None;
        slot.ResponseOperation = (byte)request.Operation;
        BlkifStatus status = Prepare(ref slot, request);
        if (status != BlkifStatus.Okay)
        {
            Answer(index, status);
            return;
        }

        if (slot.Stage == BlockStage.Running)
        {
            Start(index);
        }
        else
        {
            _barrier = index;
            StartBarrierWhenAlone();
        }
    }

    private BlkifStatus Prepare(ref BlockSlot slot, BlockRequestReader request)
    {
        switch (request.Operation)
        {
            case BlkifOperation.Read:
            case BlkifOperation.Write:
                return PrepareTransfer(
                    ref slot, request.Operation, request.Sector, request.SegmentCount, Blkif.MaximumSegments, request.Segments);
            case BlkifOperation.Indirect:
                return PrepareIndirect(ref slot, request);
            case BlkifOperation.WriteBarrier:
            case BlkifOperation.FlushDiskCache:
                return PrepareFlush(ref slot, request);
            case BlkifOperation.Discard:
                return PrepareDiscard(ref slot, request);
            default:
                return BlkifStatus.NotSupported;
        }
    }

    private BlkifStatus PrepareIndirect(ref BlockSlot slot, BlockRequestReader request)
    {
        // The answer names the operation inside; Linux checks that.
        BlkifOperation operation = request.IndirectOperation;
        slot.ResponseOperation = (byte)operation;
        int count = request.IndirectSegmentCount;
        if ((operation != BlkifOperation.Read && operation != BlkifOperation.Write)
            || count == 0 || count > BlockLimits.MaximumIndirectSegments)
        {
            return BlkifStatus.Error;
        }

        // So few segments are always in the first page.
        if (GrantPin.TryPin(Guest, request.IndirectReference(0), false, out PinnedGrant page) != 0)
        {
            return BlkifStatus.Error;
        }

        Span<byte> segments = new(_indirect, 0, count * Blkif.SegmentSize);
        bool isCovered = page.Covers(0, (uint)segments.Length);
        if (isCovered)
        {
            PhysicalMemory.Bytes(page.Frame << Cpu.PageShift, segments.Length).CopyTo(segments);
        }

        GrantPin.Unpin(Guest, in page);
        if (!isCovered)
        {
            return BlkifStatus.Error;
        }

        return PrepareTransfer(ref slot, operation, request.Sector, count, BlockLimits.MaximumIndirectSegments, segments);
    }

    private BlkifStatus PrepareFlush(ref BlockSlot slot, BlockRequestReader request)
    {
        if (!_device.Geometry.HasFlush)
        {
            return BlkifStatus.NotSupported;
        }

        if (request.SegmentCount != 0)
        {
            // A flush with data is served as the stricter barrier.
            BlkifStatus status = PrepareTransfer(
                ref slot, BlkifOperation.Write, request.Sector, request.SegmentCount, Blkif.MaximumSegments, request.Segments);
            slot.Stage = BlockStage.BarrierWait;
            return status;
        }

        slot.Operation = BlockOperation.Flush;
        slot.Stage = request.Operation == BlkifOperation.WriteBarrier ? BlockStage.BarrierWait : BlockStage.Running;
        return BlkifStatus.Okay;
    }

    private BlkifStatus PrepareDiscard(ref BlockSlot slot, BlockRequestReader request)
    {
        ref readonly BlockGeometry geometry = ref _device.Geometry;
        if (!_vbd.OffersDiscard || (request.DiscardFlags & Blkif.DiscardSecure) != 0)
        {
            return BlkifStatus.NotSupported;
        }

        ulong count = request.DiscardSectors;
        if (_vbd.IsReadOnly || count == 0 || count > ulong.MaxValue >> _sectorShift
            || !IsOnDisk(in geometry, request.Sector, count << _sectorShift))
        {
            return BlkifStatus.Error;
        }

        slot.Operation = BlockOperation.Discard;
        slot.Stage = BlockStage.Running;
        slot.Sector = request.Sector << (_sectorShift - 9);
        slot.Remaining = count << (_sectorShift - 9);
        return BlkifStatus.Okay;
    }

    private BlkifStatus PrepareTransfer(
        ref BlockSlot slot, BlkifOperation operation, ulong sector, int count, int maximumCount, ReadOnlySpan<byte> segments)
    {
        slot.Operation = operation == BlkifOperation.Read ? BlockOperation.Read : BlockOperation.Write;
        slot.Stage = BlockStage.Running;
        if (count == 0 || count > maximumCount || (operation == BlkifOperation.Write && _vbd.IsReadOnly))
        {
            return BlkifStatus.Error;
        }

        if (!TryPinSegments(ref slot, segments.Slice(0, count * Blkif.SegmentSize)) || !IsOnDisk(in _device.Geometry, sector, slot.Remaining))
        {
            return BlkifStatus.Error;
        }

        slot.Sector = sector << (_sectorShift - 9);
        slot.Size = slot.Remaining;
        return BlkifStatus.Okay;
    }

    /// <summary>Whether a range is made of whole logical blocks of the disk.</summary>
    /// <param name="geometry">The disk.</param>
    /// <param name="sector">First sector, as the frontend counts.</param>
    /// <param name="bytes">Length in bytes.</param>
    private bool IsOnDisk(in BlockGeometry geometry, ulong sector, ulong bytes)
    {
        ulong size = geometry.Sectors;
        ulong sectors = bytes / BytesOfSector;
        ulong blockMask = geometry.LogicalBlockSize / BytesOfSector - 1;
        if (sector > size >> (_sectorShift - 9))
        {
            return false;
        }

        ulong first = sector << (_sectorShift - 9);
        return sectors <= size - first && (first & blockMask) == 0 && (sectors & blockMask) == 0;
    }

    private bool TryPinSegments(ref BlockSlot slot, ReadOnlySpan<byte> segments)
    {
        bool isWritable = slot.Operation == BlockOperation.Read;
        int last = None;
        for (; !segments.IsEmpty; segments = segments.Slice(Blkif.SegmentSize))
        {
            int first = segments[Blkif.SegmentFirst];
            int end = segments[Blkif.SegmentLast] + 1;
            if (first >= end || end > Cpu.PageSize >> _sectorShift || !_segments.TryAllocate(out int index))
            {
                return false;
            }

            ref BlockSegment segment = ref _segments[index];
            uint reference = BinaryPrimitives.ReadUInt32LittleEndian(segments.Slice(Blkif.SegmentReference));
            if (GrantPin.TryPin(Guest, reference, isWritable, out segment.Pin) != 0)
            {
                _segments.Free(index);
                return false;
            }

            segment.Next = None;
            segment.Offset = (ushort)(first << _sectorShift);
            segment.Length = (ushort)((end - first) << _sectorShift);
            if (!segment.Pin.Covers(segment.Offset, segment.Length))
            {
                GrantPin.Unpin(Guest, in segment.Pin);
                _segments.Free(index);
                return false;
            }

            slot.Remaining += segment.Length;
            if (last == None)
            {
                slot.FirstSegment = index;
                slot.CursorSegment = index;
            }
            else
            {
                _segments[last].Next = index;
            }

            last = index;
        }

        return true;
    }

    private void StartBarrierWhenAlone()
    {
        if (_barrier != None && InFlight == 1 && _slots[_barrier].Stage == BlockStage.BarrierWait)
        {
            _slots[_barrier].Stage = BlockStage.BarrierFlush;
            Start(_barrier);
        }
    }

    /// <summary>Gives a request, or the next stage of a barrier, to the device.</summary>
    private void Start(int index)
    {
        // The extra part keeps the request from ending before all its parts are with the device.
        Volatile.Write(ref _slots[index].Outstanding, 1);
        Continue(index);
    }

    private void ContinueWaiting()
    {
        int index = _waiting;
        if (index != None)
        {
            _waiting = None;
            Continue(index);
        }
    }

    private void Continue(int index)
    {
        ref BlockSlot slot = ref _slots[index];
        bool isMore = true;
        while (isMore && Volatile.Read(ref slot.Status) == (int)BlockStatus.Success)
        {
            if (!TryBuildPart(ref slot, out BlockPart part))
            {
                slot.Status = (int)BlockStatus.Error;
                break;
            }

            part.Request.Tag = _vbd.Tag(_queue, index);
            Interlocked.Increment(ref slot.Outstanding);
            if (!_device.TrySubmit(_queue, in part.Request, new ReadOnlySpan<DmaSegment>(_transfer, 0, part.Segments)))
            {
                Interlocked.Decrement(ref slot.Outstanding);
                _waiting = index;
                return;
            }

            _hasSubmitted = true;
            isMore = Advance(ref slot, in part);
        }

        EndPart(index);
    }

    private bool TryBuildPart(ref BlockSlot slot, out BlockPart part)
    {
        part = default;
        part.Request.Sector = slot.Sector;
        if (slot.Stage == BlockStage.BarrierFlush || slot.Stage == BlockStage.BarrierFinalFlush || slot.Operation == BlockOperation.Flush)
        {
            part.Request.Operation = BlockOperation.Flush;
            return true;
        }

        part.Request.Operation = slot.Operation;
        return slot.Operation == BlockOperation.Discard
            ? TryBuildDiscard(in slot, ref part)
            : TryBuildTransfer(in slot, ref part);
    }

    private bool TryBuildDiscard(in BlockSlot slot, ref BlockPart part)
    {
        ref readonly BlockGeometry geometry = ref _device.Geometry;
        uint blockSectors = geometry.LogicalBlockSize / BytesOfSector;
        uint maximum = geometry.MaximumDiscardSectors / blockSectors * blockSectors;
        part.Amount = Math.Min(slot.Remaining, maximum);
        part.Request.SectorCount = part.Amount;
        return maximum != 0;
    }

    /// <summary>Collects segments from the request's cursor on, as many as one request to the device may have; neighbours in memory become one.</summary>
    private bool TryBuildTransfer(in BlockSlot slot, ref BlockPart part)
    {
        ref readonly BlockGeometry geometry = ref _device.Geometry;
        int maximumCount = (int)Math.Min(geometry.MaximumSegments, (uint)_transfer.Length);
        uint maximumSize = geometry.MaximumSegmentSize;
        int segment = slot.CursorSegment;
        uint offset = (uint)slot.CursorOffset;
        while (segment != None && maximumSize != 0)
        {
            ref BlockSegment piece = ref _segments[segment];
            ulong address = (piece.Pin.Frame << Cpu.PageShift) + piece.Offset + offset;
            uint length = TryMerge(ref part, address, piece.Length - offset, maximumSize);
            if (length == 0)
            {
                if (part.Segments == maximumCount)
                {
                    break;
                }

                length = Math.Min(piece.Length - offset, maximumSize);
                _transfer[part.Segments++] = new DmaSegment(address, length);
            }

            part.Amount += length;
            offset += length;
            if (offset == piece.Length)
            {
                segment = piece.Next;
                offset = 0;
            }
        }

        return TryTrimToBlocks(ref part, geometry.LogicalBlockSize);
    }

    /// <summary>Makes the last piece longer when memory goes on right behind it; returns by how many bytes.</summary>
    private uint TryMerge(ref BlockPart part, ulong address, uint length, uint maximumSize)
    {
        if (part.Segments == 0)
        {
            return 0;
        }

        DmaSegment last = _transfer[part.Segments - 1];
        if (last.Address + last.Length != address || last.Length >= maximumSize)
        {
            return 0;
        }

        length = Math.Min(length, maximumSize - last.Length);
        _transfer[part.Segments - 1] = new DmaSegment(last.Address, last.Length + length);
        return length;
    }

    /// <summary>Cuts what is not a whole logical block off the end; it goes with the next part. False when nothing is left.</summary>
    private bool TryTrimToBlocks(ref BlockPart part, uint blockSize)
    {
        uint extra = (uint)(part.Amount & (blockSize - 1));
        part.Amount -= extra;
        while (extra != 0)
        {
            DmaSegment last = _transfer[part.Segments - 1];
            if (last.Length > extra)
            {
                _transfer[part.Segments - 1] = new DmaSegment(last.Address, last.Length - extra);
                break;
            }

            extra -= last.Length;
            part.Segments--;
        }

        return part.Amount != 0;
    }

    /// <summary>Moves the request's cursor behind a part that the device has taken. True when there is more.</summary>
    private bool Advance(ref BlockSlot slot, in BlockPart part)
    {
        if (part.Request.Operation == BlockOperation.Flush)
        {
            return false;
        }

        slot.Remaining -= part.Amount;
        if (part.Request.Operation == BlockOperation.Discard)
        {
            slot.Sector += part.Amount;
            return slot.Remaining != 0;
        }

        slot.Sector += part.Amount / BytesOfSector;
        for (ulong left = part.Amount; left != 0 && slot.Remaining != 0;)
        {
            ref BlockSegment segment = ref _segments[slot.CursorSegment];
            ulong step = Math.Min(left, (ulong)(segment.Length - slot.CursorOffset));
            left -= step;
            slot.CursorOffset += (int)step;
            if (slot.CursorOffset == segment.Length)
            {
                slot.CursorSegment = segment.Next;
                slot.CursorOffset = 0;
            }
        }

        return slot.Remaining != 0;
    }

    private void EndPart(int index)
    {
        ref BlockSlot slot = ref _slots[index];
        if (Interlocked.Decrement(ref slot.Outstanding) != 0)
        {
            return;
        }

        int head = Volatile.Read(ref _ended);
        while (true)
        {
            slot.NextEnded = head;
            int seen = Interlocked.CompareExchange(ref _ended, index, head);
            if (seen == head)
            {
                return;
            }

            head = seen;
        }
    }

    private void FinishEnded()
    {
        int index = Interlocked.Exchange(ref _ended, None);
        while (index != None)
        {
            int next = _slots[index].NextEnded;
            Finish(index);
            index = next;
        }
    }

    private void Finish(int index)
    {
        ref BlockSlot slot = ref _slots[index];
        if (slot.Status == (int)BlockStatus.Success && TryEnterNextStage(ref slot))
        {
            Start(index);
            return;
        }

        if (_barrier == index)
        {
            _barrier = None;
        }

        Answer(index, ToStatus(in slot));
    }

    private static bool TryEnterNextStage(ref BlockSlot slot)
    {
        switch (slot.Stage)
        {
            case BlockStage.BarrierFlush when slot.Operation == BlockOperation.Write:
                slot.Stage = BlockStage.BarrierWrite;
                return true;
            case BlockStage.BarrierWrite:
                slot.Stage = BlockStage.BarrierFinalFlush;
                return true;
            default:
                return false;
        }
    }

    private static BlkifStatus ToStatus(in BlockSlot slot)
    {
        switch ((BlockStatus)slot.Status)
        {
            case BlockStatus.Success:
                return BlkifStatus.Okay;
            case BlockStatus.Unsupported when slot.Operation == BlockOperation.Flush || slot.Operation == BlockOperation.Discard:
                return BlkifStatus.NotSupported;
            default:
                return BlkifStatus.Error;
        }
    }

    /// <summary>Lets go of a request's pages, answers it and frees its slot.</summary>
    private void Answer(int index, BlkifStatus status)
    {
        ref BlockSlot slot = ref _slots[index];
        UnpinSegments(ref slot);
        Statistics.Count(in slot, status);
        if (IsOpen)
        {
            Span<byte> response = stackalloc byte[16];
            response.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(response, slot.Id);
            response[BlkifLayout.ResponseOperation] = slot.ResponseOperation;
            BinaryPrimitives.WriteUInt16LittleEndian(response.Slice(BlkifLayout.ResponseStatus), unchecked((ushort)(short)status));
            _ring.PutResponse(response.Slice(0, _layout.ResponseSize));
        }

        slot.Stage = BlockStage.Free;
        _freeSlots[_freeCount++] = (byte)index;
    }

    private void UnpinSegments(ref BlockSlot slot)
    {
        int index = slot.FirstSegment;
        slot.FirstSegment = None;
        while (index != None)
        {
            ref BlockSegment segment = ref _segments[index];
            int next = segment.Next;
            GrantPin.Unpin(Guest, in segment.Pin);
            _segments.Free(index);
            index = next;
        }
    }

    private void KickDevice()
    {
        if (_hasSubmitted)
        {
            _hasSubmitted = false;
            _device.Kick(_queue);
        }
    }

    /// <summary>One request to the device that a guest's request is made of.</summary>
    private struct BlockPart
    {
        internal BlockRequest Request;

        /// <summary>Segments in use of the transfer list.</summary>
        internal int Segments;

        /// <summary>Bytes of a transfer, sectors of a discard.</summary>
        internal ulong Amount;
    }
}
