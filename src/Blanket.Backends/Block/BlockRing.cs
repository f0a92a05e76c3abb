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

    /// <summary>Requests between two looks for who else wants the CPU.</summary>
    private const int RequestsBetweenChecks = 4;

    private const int BytesOfSector = 512;

    private readonly VbdDevice _vbd;
    private readonly BlockDevice _device;
    private readonly int _queue;
    private readonly RingPages _pages = new(BlockLimits.MaximumRingPages);
    private readonly EventLink _events;
    private readonly SharedRing _ring = new(BlockLimits.MaximumRingPages);
    private readonly BlockSlot[] _slots = new BlockSlot[MaximumSlots];
    private readonly byte[] _freeSlots = new byte[MaximumSlots];
    private readonly BlockSegments _segments = new(MaximumSlots);
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
    private PacedClock _byteRate;
    private PacedClock _requestRate;

    internal BlockRing(BackendBus bus, VbdDevice vbd, BlockDevice device, int queue)
        : base(bus, vbd.Domain)
    {
        _vbd = vbd;
        _device = device;
        _queue = queue;
        _events = new EventLink(bus, this);
    }

    /// <summary>What was answered so far. Written by the ring's worker only; whoever reads on another CPU may be a request late.</summary>
    internal BlockStatistics Statistics;

    /// <summary>Starts on a frontend's ring.</summary>
    /// <param name="references">Grants of the ring's pages.</param>
    /// <param name="port">The frontend's event channel.</param>
    /// <param name="layout">ABI of the ring.</param>
    /// <param name="sectorShift">log2 of the bytes of the frontend's sectors.</param>
    /// <param name="settings">With the disk's limits.</param>
    /// <returns>0 or a negative errno; nothing is held then.</returns>
    internal int Attach(ReadOnlySpan<uint> references, uint port, BlkifLayout layout, int sectorShift, in VbdSettings settings)
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
        _byteRate = new PacedClock(settings.BytesPerSecond);
        _requestRate = new PacedClock(settings.RequestsPerSecond);
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

    /// <summary>Goes on with what the disk's limits let through now.</summary>
    internal void WakeIfDue()
    {
        if (Bus.IsDue(WakeTime))
        {
            Kick();
        }
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

    private bool IsStalled => _waiting != None || _barrier != None || WakeTime != BackendBus.Never;

    private int InFlight => _ring.Entries - _freeCount;

    /// <inheritdoc/>
    private protected override bool WorkOnRings()
    {
        FinishEnded();
        ContinueWaiting();
        StartBarrierWhenAlone();
        bool mayTake = IsOpen;
        EndWait();
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
            // The lowest first: few slots in use need few frames for segments.
            _freeSlots[i] = (byte)(_freeCount - 1 - i);
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
        for (int taken = 1; count > 0 && !IsStalled && IsWithinLimits(); taken++, count--)
        {
            _ring.TakeRequest(entry);
            TakeRequest(new BlockRequestReader(entry, _layout));
            if (taken % RequestsBetweenChecks == 0 && Bus.MustGiveWay)
            {
                // What is left in the ring is found when a notification is asked for.
                return;
            }
        }
    }

    /// <summary>Whether the next request may begin now; if not, waits until it may.</summary>
    private bool IsWithinLimits()
    {
        if (!_byteRate.IsLimited && !_requestRate.IsLimited)
        {
            return true;
        }

        ulong now = Bus.Now;
        return MayBegin(in _byteRate, now) && MayBegin(in _requestRate, now);
    }

    private void ChargeLimits(ulong bytes)
    {
        if (_byteRate.IsLimited || _requestRate.IsLimited)
        {
            ulong now = Bus.Now;
            _byteRate.Take((uint)bytes, now);
            _requestRate.Take(1, now);
        }
    }

    private void TakeRequest(BlockRequestReader request)
    {
        // There is a slot for each entry of the ring, and an entry is free again only when its slot is.
        int index = _freeSlots[--_freeCount];
        ref BlockSlot slot = ref _slots[index];
        slot = default;
        slot.Id = request.Id;
        slot.ResponseOperation = (byte)request.Operation;
        BlkifStatus status = Prepare(index, request);
        ChargeLimits(slot.Size);
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

    private BlkifStatus Prepare(int index, BlockRequestReader request)
    {
        switch (request.Operation)
        {
            case BlkifOperation.Read:
            case BlkifOperation.Write:
                return PrepareTransfer(
                    index, request.Operation, request.Sector, request.SegmentCount, Blkif.MaximumSegments, request.Segments);
            case BlkifOperation.Indirect:
                return PrepareIndirect(index, request);
            case BlkifOperation.WriteBarrier:
            case BlkifOperation.FlushDiskCache:
                return PrepareFlush(index, request);
            case BlkifOperation.Discard:
                return PrepareDiscard(ref _slots[index], request);
            default:
                return BlkifStatus.NotSupported;
        }
    }

    private BlkifStatus PrepareIndirect(int index, BlockRequestReader request)
    {
        // The answer names the operation inside; Linux checks that.
        BlkifOperation operation = request.IndirectOperation;
        _slots[index].ResponseOperation = (byte)operation;
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

        return PrepareTransfer(index, operation, request.Sector, count, BlockLimits.MaximumIndirectSegments, segments);
    }

    private BlkifStatus PrepareFlush(int index, BlockRequestReader request)
    {
        ref BlockSlot slot = ref _slots[index];
        if (!_device.Geometry.HasFlush)
        {
            return BlkifStatus.NotSupported;
        }

        if (request.SegmentCount != 0)
        {
            // A flush with data is served as the stricter barrier.
            BlkifStatus status = PrepareTransfer(
                index, BlkifOperation.Write, request.Sector, request.SegmentCount, Blkif.MaximumSegments, request.Segments);
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
        int index, BlkifOperation operation, ulong sector, int count, int maximumCount, ReadOnlySpan<byte> segments)
    {
        ref BlockSlot slot = ref _slots[index];
        slot.Operation = operation == BlkifOperation.Read ? BlockOperation.Read : BlockOperation.Write;
        slot.Stage = BlockStage.Running;
        if (count == 0 || count > maximumCount || (operation == BlkifOperation.Write && _vbd.IsReadOnly))
        {
            return BlkifStatus.Error;
        }

        if (!TryReadSegments(index, segments.Slice(0, count * Blkif.SegmentSize)) || !IsOnDisk(in _device.Geometry, sector, slot.Remaining))
        {
            return BlkifStatus.Error;
        }

        if (GrantPin.TryPinAll(Guest, slot.Operation == BlockOperation.Read, _segments.Of(index).Slice(0, count)) != 0)
        {
            return BlkifStatus.Error;
        }

        slot.SegmentCount = count;

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

    /// <summary>Copies a request's segments, and their length to the slot. False when one of them makes no sense, or memory is out.</summary>
    private bool TryReadSegments(int index, ReadOnlySpan<byte> source)
    {
        if (!_segments.TryGet(index, out Span<PinnedSegment> segments))
        {
            return false;
        }

        int shift = _sectorShift;
        int sectorsOfPage = Cpu.PageSize >> shift;
        ulong bytes = 0;
        for (int i = 0; !source.IsEmpty; source = source.Slice(Blkif.SegmentSize), i++)
        {
            ulong segment = BinaryPrimitives.ReadUInt64LittleEndian(source);
            int first = (byte)(segment >> (Blkif.SegmentFirst * 8));
            int end = (byte)(segment >> (Blkif.SegmentLast * 8)) + 1;
            if (first >= end || end > sectorsOfPage)
            {
                return false;
            }

            ref PinnedSegment target = ref segments[i];
            target.Reference = (uint)(segment >> (Blkif.SegmentReference * 8));
            target.Offset = (ushort)(first << shift);
            target.Length = (ushort)((end - first) << shift);
            bytes += target.Length;
        }

        _slots[index].Remaining = bytes;
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
            if (!TryBuildPart(index, out BlockPart part))
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
            isMore = Advance(index, in part);
        }

        EndPart(index);
    }

    private bool TryBuildPart(int index, out BlockPart part)
    {
        ref BlockSlot slot = ref _slots[index];
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
            : TryBuildTransfer(index, ref part);
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
    private bool TryBuildTransfer(int index, ref BlockPart part)
    {
        ref readonly BlockSlot slot = ref _slots[index];
        ref readonly BlockGeometry geometry = ref _device.Geometry;
        int maximumCount = (int)Math.Min(geometry.MaximumSegments, (uint)_transfer.Length);
        uint maximumSize = geometry.MaximumSegmentSize;
        ReadOnlySpan<PinnedSegment> segments = _segments.Of(index).Slice(0, slot.SegmentCount);
        int segment = slot.CursorSegment;
        uint offset = (uint)slot.CursorOffset;
        while (segment < segments.Length && maximumSize != 0)
        {
            ref readonly PinnedSegment piece = ref segments[segment];
            ulong address = (piece.Frame << Cpu.PageShift) + piece.Offset + offset;
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
                segment++;
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
    private bool Advance(int index, in BlockPart part)
    {
        ref BlockSlot slot = ref _slots[index];
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

        if (slot.Remaining == 0)
        {
            return false;
        }

        slot.Sector += part.Amount / BytesOfSector;
        ReadOnlySpan<PinnedSegment> segments = _segments.Of(index).Slice(0, slot.SegmentCount);
        ulong left = part.Amount + (ulong)slot.CursorOffset;
        while (left >= segments[slot.CursorSegment].Length)
        {
            left -= segments[slot.CursorSegment++].Length;
        }

        slot.CursorOffset = (int)left;
        return true;
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
        if (slot.SegmentCount != 0)
        {
            GrantPin.UnpinAll(Guest, slot.Operation == BlockOperation.Read, _segments.Of(index).Slice(0, slot.SegmentCount));
            slot.SegmentCount = 0;
        }

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
