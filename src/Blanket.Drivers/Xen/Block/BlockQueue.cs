using System;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen.Block;

/// <summary>
/// One request queue of a virtual disk: a ring, what is in flight in it, and the grants of that. A request that is too long for an
/// entry of the ring becomes several parts; it ends when all have.
/// <para>
/// What is in flight outlives the connection: when the backend is opened again, or the machine was suspended, parts are put into the new
/// ring in the order in which they were submitted. Answers that the old ring held are taken before.
/// </para>
/// </summary>
internal sealed class BlockQueue
{
    /// <summary>Entries of the ring that are used at most; four pages.</summary>
    public const int MaximumParts = 128;

    /// <summary>log2 of the pages of the largest ring.</summary>
    public const int MaximumRingOrder = 2;

    /// <summary>The most pieces of a request, so that it fits into an empty ring whatever the backend takes.</summary>
    public const int MaximumPieces = 128;

    private const short None = -1;

    // Beside the status of a completion: it is another queue's.
    private const byte BorrowedMark = 0x80;

    // Pages whose grants are reserved: 32 requests of 32 pages, or 128 of 8.
    private const int PieceCapacity = 1024;

    // Pages for segments of large requests; a request that finds none waits.
    private const int TableCount = 32;
    private const uint PageSectors = Cpu.PageSize / BlockPieceReader.SectorSize;
    private const int FixedReferences = (1 << MaximumRingOrder) + TableCount;
    private static readonly BlkifLayout s_layout = BlkifLayout.Bits64;

    private readonly GrantAccess _grants;
    private readonly FrontendHealth _health;
    private readonly int _number;
    private readonly ulong _memory;
    private readonly FrontendRing _ring;
    private readonly BlockPieceTable _pieces;
    private readonly BlockPart[] _parts = new BlockPart[MaximumParts];
    private readonly short[] _freeParts = new short[MaximumParts];
    private readonly BlockTransfer[] _transfers = new BlockTransfer[MaximumParts];
    private readonly short[] _freeTables = new short[TableCount];
    private readonly uint[] _fixedReferences = new uint[FixedReferences];
    private readonly LocalCompletions _local = new(2 * MaximumParts);
    private int _freePartCount;
    private int _freeTransferCount;
    private int _freeTableCount;
    private short _freeTransfer = None;
    private short _oldest = None;
    private short _newest = None;

    // Of the parts in order of submission, the first that is not in the ring; those behind it are not, either.
    private short _firstWaiting = None;
    private short _ending = None;
    private ulong _completed;
    private bool _isConnected;
    private bool _hasRefused;

    // The connection.
    private ushort _domain;
    private ushort _handle;
    private uint _zeroReference;
    private int _partPieces;
    private uint _blockSectors = 1;

    private SpinLock _lock = new(LockClass.Driver);

    private BlockQueue(GrantAccess grants, FrontendHealth health, int number, ulong memory, BlockPieceTable pieces)
    {
        _grants = grants;
        _health = health;
        _number = number;
        _memory = memory;
        _pieces = pieces;
        _ring = new FrontendRing(memory, s_layout.EntrySize);
        for (short i = 0; i < MaximumParts; i++)
        {
            _freeParts[_freePartCount++] = (short)(MaximumParts - 1 - i);
            FreeTransfer(i);
        }

        for (short i = 0; i < TableCount; i++)
        {
            _freeTables[_freeTableCount++] = i;
        }
    }

    /// <summary>Bytes of memory that a queue needs: the ring's pages, then those for segments.</summary>
    public const ulong MemorySize = FixedReferences * Cpu.PageSize;

    /// <summary>A queue that is not connected; null when grant references are out.</summary>
    public static BlockQueue? Create(GrantAccess grants, FrontendHealth health, int number, ulong memory)
    {
        BlockPieceTable pieces = new(grants, PieceCapacity);
        BlockQueue queue = new(grants, health, number, memory, pieces);
        int references = 0;
        while (references < FixedReferences && grants.TryReserve(out queue._fixedReferences[references]))
        {
            references++;
        }

        if (references == FixedReferences && pieces.Capacity >= MaximumPieces)
        {
            return queue;
        }

        while (references > 0)
        {
            grants.Release(queue._fixedReferences[--references]);
        }

        pieces.Release();
        return null;
    }

    /// <summary>Grant of a page of the ring.</summary>
    public uint RingReference(int page) => _fixedReferences[page];

    /// <summary>Entries of the ring.</summary>
    public int Entries => _ring.Size;

    /// <summary>Parts that ended since the queue was made.</summary>
    public ulong Completed => _completed;

    /// <summary>Whether anything of the client's has not ended, answers that it was not told of included.</summary>
    public bool IsIdle => _freeTransferCount == MaximumParts;

    /// <summary>Whether there are answers that were not taken. Needs no lock: a hint.</summary>
    public bool HasResponses => _ring.HasResponses;

    /// <summary>
    /// Prepares the memory that is shared with a backend and takes the answers that the last one left. Nothing is put into the ring before
    /// <see cref="Connect"/>.
    /// </summary>
    /// <param name="domain">The backend's domain.</param>
    /// <param name="ringOrder">log2 of the ring's pages.</param>
    /// <returns>False when the old backend does not let go of a page.</returns>
    public bool TryPrepare(ushort domain, int ringOrder)
    {
        _lock.Acquire();
        _isConnected = false;
        bool isFree = true;
        for (int i = 0; i < FixedReferences; i++)
        {
            isFree &= _grants.TryRevoke(_fixedReferences[i]);
        }

        if (isFree)
        {
            Rewind();
            _ring.Clear(Cpu.PageSize << ringOrder);
            _domain = domain;
            for (int i = 0; i < FixedReferences; i++)
            {
                bool isRing = i < 1 << MaximumRingOrder;
                if (!isRing || i < 1 << ringOrder)
                {
                    _grants.Grant(_fixedReferences[i], domain, (_memory >> Cpu.PageShift) + (ulong)i, !isRing);
                }
            }
        }

        _lock.Release();
        return isFree;
    }

    /// <summary>Takes the ring away from a backend, and the answers that it left: the next backend takes fewer queues.</summary>
    public void Park()
    {
        _lock.Acquire();
        _isConnected = false;
        for (int i = 0; i < FixedReferences; i++)
        {
            // One that is still in use keeps its page, which is this queue's anyway.
            _grants.TryRevoke(_fixedReferences[i]);
        }

        Rewind();
        _lock.Release();
    }

    /// <summary>Lets requests in, those first that were in flight when the last connection ended.</summary>
    /// <param name="handle">The device's number, as it stands in requests.</param>
    /// <param name="maximumPieces">Pieces that the backend takes in one entry; more than 11 are indirect.</param>
    /// <param name="blockSectors">Sectors of a logical block.</param>
    /// <param name="zeroReference">Grant of a page of zeroes.</param>
    /// <returns>Whether the backend is to be notified.</returns>
    public bool Connect(ushort handle, int maximumPieces, uint blockSectors, uint zeroReference)
    {
        _lock.Acquire();
        _handle = handle;
        _partPieces = Math.Min(maximumPieces, MaximumPieces);
        _blockSectors = blockSectors;
        _zeroReference = zeroReference;
        _isConnected = true;
        SendWaiting();
        _ring.TryRequestEvent();
        bool mustNotify = _ring.Publish();
        _lock.Release();
        return mustNotify;
    }

    /// <summary>Lets nothing more in or out; what is in flight is kept.</summary>
    public void Disconnect()
    {
        _lock.Acquire();
        _isConnected = false;
        _lock.Release();
    }

    /// <summary>Ends everything with an error: the device is closed. What the backend still uses ends when it lets go.</summary>
    public void GiveUp()
    {
        _lock.Acquire();
        _isConnected = false;
        short next;
        for (short index = _oldest; index != None; index = next)
        {
            next = _parts[index].Newer;
            if (_parts[index].State != BlockPartState.Lent)
            {
                End(index, BlockStatus.Error);
            }
        }

        _firstWaiting = None;
        _lock.Release();
    }

    /// <summary>Puts a request that was checked into the ring.</summary>
    /// <returns>False when there is no room, which is remembered.</returns>
    public bool TrySubmit(BlkifOperation operation, in BlockRequest request, ReadOnlySpan<DmaSegment> segments) =>
        TrySubmit(operation, in request, segments, false);

    private bool TrySubmit(BlkifOperation operation, in BlockRequest request, ReadOnlySpan<DmaSegment> segments, bool isBorrowed)
    {
        _lock.Acquire();
        bool hasRoom = _isConnected && _firstWaiting == None && HasLocalRoom && _freeTransferCount != 0
            && (segments.IsEmpty ? TryPutOne(operation, in request, isBorrowed) : TryPutData(operation, in request, segments, isBorrowed));
        _hasRefused |= !hasRoom;
        _lock.Release();
        return hasRoom;
    }

    // ---- Work of another queue, which the backend does not take

    /// <summary>Takes over what waits in a parked queue, as far as there is room. One CPU at a time does this for a device.</summary>
    /// <param name="owner">The parked queue.</param>
    /// <param name="segments">Room for <see cref="MaximumPieces"/>.</param>
    /// <returns>Whether something was put into the ring.</returns>
    public bool Borrow(BlockQueue owner, Span<DmaSegment> segments)
    {
        bool hasMoved = false;
        while (owner.TryLend(segments, out BlkifOperation operation, out BlockRequest request, out int count))
        {
            if (!TrySubmit(operation, in request, segments.Slice(0, count), true))
            {
                owner.TakeBack((short)(request.Tag & 0xffff));
                break;
            }

            hasMoved = true;
        }

        return hasMoved;
    }

    /// <summary>What another queue has borrowed ended.</summary>
    /// <param name="tag">Its tag there; the upper half is the number of this queue.</param>
    /// <param name="status">How it ended.</param>
    public void EndLent(uint tag, BlockStatus status)
    {
        _lock.Acquire();
        End((short)(tag & 0xffff), status);
        _lock.Release();
    }

    private bool TryLend(Span<DmaSegment> segments, out BlkifOperation operation, out BlockRequest request, out int count)
    {
        operation = default;
        request = default;
        count = 0;
        _lock.Acquire();
        short index = _isConnected ? None : _firstWaiting;
        if (index != None)
        {
            ref BlockPart part = ref _parts[index];
            part.State = BlockPartState.Lent;
            _firstWaiting = part.Newer;
            operation = part.Operation;
            request.Operation = OperationOf(in part);
            request.Sector = part.Sector;
            request.SectorCount = part.SectorCount;
            request.Tag = (uint)_number << 16 | (ushort)index;
            for (int piece = part.FirstPiece; piece != BlockPieceTable.None; piece = _pieces.Next(piece))
            {
                segments[count++] = _pieces[piece].Segment;
            }
        }

        _lock.Release();
        return index != None;
    }

    private void TakeBack(short index)
    {
        _lock.Acquire();
        _parts[index].State = BlockPartState.Waiting;
        _firstWaiting = index;
        _lock.Release();
    }

    private static BlockOperation OperationOf(in BlockPart part) => part.Operation switch
    {
        BlkifOperation.Read => BlockOperation.Read,
        BlkifOperation.Write => part.PieceCount == 0 ? BlockOperation.WriteZeroes : BlockOperation.Write,
        BlkifOperation.Discard => BlockOperation.Discard,
        _ => BlockOperation.Flush,
    };

    // ---- Completion

    /// <summary>Ends a request without the backend; it is reported when the queue is served.</summary>
    public bool TryEndLocally(uint tag, BlockStatus status)
    {
        _lock.Acquire();
        bool hasRoom = HasLocalRoom;
        _hasRefused |= !hasRoom;
        if (hasRoom)
        {
            _local.Add(tag, (byte)status);
        }

        _lock.Release();
        return hasRoom;
    }

    /// <summary>Shows the backend what was submitted.</summary>
    /// <param name="mustServe">Requests ended locally wait to be reported.</param>
    /// <returns>Whether the backend is to be notified.</returns>
    public bool Publish(out bool mustServe)
    {
        _lock.Acquire();
        bool mustNotify = _isConnected && _ring.Publish();
        mustServe = _local.Count != 0;
        _lock.Release();
        return mustNotify;
    }

    /// <summary>Takes one request that ended.</summary>
    /// <param name="tag">The client's name for it.</param>
    /// <param name="status">How it ended.</param>
    public bool TryTakeCompletion(out uint tag, out BlockStatus status) => TryTakeCompletion(out tag, out status, out _);

    /// <summary>The same; <paramref name="isBorrowed"/> tells that it is for <see cref="EndLent"/> of another queue.</summary>
    public bool TryTakeCompletion(out uint tag, out BlockStatus status, out bool isBorrowed)
    {
        _lock.Acquire();
        while (_local.Count == 0 && TryTakeResponse())
        {
        }

        bool found = _local.TryTake(out tag, out byte localStatus);
        status = (BlockStatus)(localStatus & ~BorrowedMark);
        isBorrowed = (localStatus & BorrowedMark) != 0;
        _lock.Release();
        return found;
    }

    /// <summary>Asks for a notification of the next answer; false when there is something to do already.</summary>
    public bool TryRequestEvent()
    {
        _lock.Acquire();
        bool isIdle = _local.Count == 0 && (!_isConnected || _ring.TryRequestEvent());
        _lock.Release();
        return isIdle;
    }

    /// <summary>Sends what waits since a reconnection, as far as there is room.</summary>
    /// <returns>Whether the backend is to be notified.</returns>
    public bool Continue()
    {
        bool mustNotify = false;
        _lock.Acquire();
        RetryEnding();
        if (_isConnected && _firstWaiting != None)
        {
            SendWaiting();
            mustNotify = _ring.Publish();
        }

        _lock.Release();
        return mustNotify;
    }

    /// <summary>Whether a request was refused since this was last asked, while there is room now.</summary>
    public bool TakeRoomAvailable()
    {
        _lock.Acquire();
        bool hasRoom = _hasRefused && HasLocalRoom && _isConnected && _firstWaiting == None && _ring.FreeEntries > 0
            && _freeTransferCount != 0;
        _hasRefused &= !hasRoom;
        _lock.Release();
        return hasRoom;
    }

    /// <summary>Requests may be tried again, to end with errors: the device is gone.</summary>
    public bool TakeRefused()
    {
        _lock.Acquire();
        bool hasRefused = _hasRefused && HasLocalRoom;
        _hasRefused &= !hasRefused;
        _lock.Release();
        return hasRefused;
    }

    // What is in flight may end without the backend: room for it is kept.
    private bool HasLocalRoom => _local.Count + (MaximumParts - _freeTransferCount) < _local.Capacity;

    // ---- Submission

    private bool TryPutOne(BlkifOperation operation, in BlockRequest request, bool isBorrowed)
    {
        if (_ring.FreeEntries == 0 || _freePartCount == 0)
        {
            return false;
        }

        // Writing zeroes needs a table for its segments, though no grants of its own.
        bool isZeroes = request.Operation == BlockOperation.WriteZeroes;
        bool needsTable = isZeroes && ZeroPieces(request.SectorCount) > Blkif.MaximumSegments;
        if (needsTable && _freeTableCount == 0)
        {
            return false;
        }

        short index = NewPart(operation, NewTransfer(request.Tag, isBorrowed));
        ref BlockPart part = ref _parts[index];
        part.Sector = request.Operation == BlockOperation.Flush ? 0 : request.Sector;
        part.SectorCount = request.Operation == BlockOperation.Flush ? 0 : request.SectorCount;
        part.Table = needsTable ? _freeTables[--_freeTableCount] : None;
        Send(index);
        return true;
    }

    private bool TryPutData(BlkifOperation operation, in BlockRequest request, ReadOnlySpan<DmaSegment> segments, bool isBorrowed)
    {
        BlockPieceReader reader = new(segments);
        short transfer = NewTransfer(request.Tag, isBorrowed);
        short before = _newest;
        ulong sector = request.Sector;
        ulong sectors;
        while ((sectors = reader.MeasurePart(_partPieces, _blockSectors, out int pieces)) != 0)
        {
            bool needsTable = pieces > Blkif.MaximumSegments;
            if (_transfers[transfer].PartsLeft == _ring.FreeEntries || _freePartCount == 0 || pieces > _pieces.FreeCount
                || (needsTable && _freeTableCount == 0))
            {
                Withdraw(transfer, before);
                return false;
            }

            short index = NewPart(operation, transfer);
            ref BlockPart part = ref _parts[index];
            part.Sector = sector;
            part.Table = needsTable ? _freeTables[--_freeTableCount] : None;
            part.PieceCount = pieces;
            part.FirstPiece = TakePieces(ref reader, sectors);
            sector += sectors;
        }

        short next = before == None ? _oldest : _parts[before].Newer;
        while (next != None)
        {
            Send(next);
            next = _parts[next].Newer;
        }

        return true;
    }

    private int TakePieces(ref BlockPieceReader reader, ulong sectors)
    {
        int first = BlockPieceTable.None;
        int last = BlockPieceTable.None;
        while (reader.TryTake(sectors, out BlockPiece piece))
        {
            int index = _pieces.Append(in piece, ref last);
            first = first == BlockPieceTable.None ? index : first;
            sectors -= piece.Sectors;
        }

        return first;
    }

    // There was no room for all of a request's parts: none has been sent.
    private void Withdraw(short transfer, short before)
    {
        while (_newest != before)
        {
            short index = _newest;
            Check.That(_pieces.TryFree(ref _parts[index].FirstPiece));
            Unlink(index);
            FreePart(index);
        }

        FreeTransfer(transfer);
    }

    private short NewTransfer(uint tag, bool isBorrowed)
    {
        short index = _freeTransfer;
        ref BlockTransfer transfer = ref _transfers[index];
        _freeTransfer = transfer.Next;
        _freeTransferCount--;
        transfer.Tag = tag;
        transfer.IsBorrowed = isBorrowed;
        transfer.PartsLeft = 0;
        transfer.Status = BlockStatus.Success;
        return index;
    }

    private void FreeTransfer(short index)
    {
        _transfers[index].Next = _freeTransfer;
        _freeTransfer = index;
        _freeTransferCount++;
    }

    private short NewPart(BlkifOperation operation, short transfer)
    {
        short index = _freeParts[--_freePartCount];
        ref BlockPart part = ref _parts[index];
        part.State = BlockPartState.Waiting;
        part.Operation = operation;
        part.Request = transfer;
        part.Table = None;
        part.FirstPiece = BlockPieceTable.None;
        part.PieceCount = 0;
        part.SectorCount = 0;
        part.Generation = unchecked(part.Generation + 1);
        _transfers[transfer].PartsLeft++;
        Link(index, _newest);
        return index;
    }

    private void FreePart(short index)
    {
        ref BlockPart part = ref _parts[index];
        if (part.Table != None)
        {
            _freeTables[_freeTableCount++] = part.Table;
        }

        part.State = BlockPartState.Free;
        _freeParts[_freePartCount++] = index;
    }

    // Puts a part into the order of submission, behind another or first of all.
    private void Link(short index, short behind)
    {
        ref BlockPart part = ref _parts[index];
        part.Older = behind;
        part.Newer = behind == None ? _oldest : _parts[behind].Newer;
        if (part.Newer == None)
        {
            _newest = index;
        }
        else
        {
            _parts[part.Newer].Older = index;
        }

        if (behind == None)
        {
            _oldest = index;
        }
        else
        {
            _parts[behind].Newer = index;
        }
    }

    private void Unlink(short index)
    {
        ref BlockPart part = ref _parts[index];
        if (_firstWaiting == index)
        {
            _firstWaiting = part.Newer;
        }

        if (part.Older == None)
        {
            _oldest = part.Newer;
        }
        else
        {
            _parts[part.Older].Newer = part.Newer;
        }

        if (part.Newer == None)
        {
            _newest = part.Older;
        }
        else
        {
            _parts[part.Newer].Older = part.Older;
        }
    }

    // ---- The ring

    // Neighbouring fields of an entry are written together; offsets and shifts are those of io/blkif.h, 64-bit ABI.
    private void Send(short index)
    {
        ref BlockPart part = ref _parts[index];
        bool isWrite = part.Operation == BlkifOperation.Write;
        int zeroes = isWrite && part.PieceCount == 0 ? ZeroPieces(part.SectorCount) : 0;
        uint pieces = (uint)(part.PieceCount + zeroes);
        _pieces.Grant(part.FirstPiece, _domain, isWrite);

        ulong entry = _ring.PutRequest();
        ulong segments = entry + (uint)s_layout.Segments;
        PhysicalMemory.Write(entry + (uint)s_layout.Id, IdOf(index));
        PhysicalMemory.Write(entry + (uint)s_layout.Sector, part.Sector);
        if (pieces > Blkif.MaximumSegments)
        {
            // operation, indirect_op, nr_segments; handle, the one page of segments.
            uint table = _fixedReferences[(1 << MaximumRingOrder) + part.Table];
            PhysicalMemory.Write(entry, (ulong)BlkifOperation.Indirect | (ulong)part.Operation << 8 | (ulong)pieces << 16);
            PhysicalMemory.Write(segments, _handle | (ulong)table << 32);
            segments = TableAddress(part.Table);
        }
        else
        {
            // operation, nr_segments, handle.
            PhysicalMemory.Write(entry, (ulong)part.Operation | (ulong)pieces << 8 | (ulong)_handle << 16);
        }

        if (part.Operation == BlkifOperation.Discard)
        {
            PhysicalMemory.Write(entry + (uint)s_layout.DiscardSectors, part.SectorCount);
        }
        else if (zeroes != 0)
        {
            WriteZeroSegments(segments, part.SectorCount);
        }
        else
        {
            WriteSegments(segments, part.FirstPiece);
        }

        part.State = BlockPartState.Sent;
    }

    private void WriteSegments(ulong at, int piece)
    {
        for (; piece != BlockPieceTable.None; piece = _pieces.Next(piece))
        {
            ref readonly BlockPiece page = ref _pieces[piece];
            WriteSegment(at, _pieces.Reference(piece), page.First, page.Last);
            at += Blkif.SegmentSize;
        }
    }

    // The same page again and again: a grant may be used many times at once.
    private void WriteZeroSegments(ulong at, ulong sectors)
    {
        while (sectors != 0)
        {
            ulong count = Math.Min(sectors, PageSectors);
            WriteSegment(at, _zeroReference, 0, (byte)(count - 1));
            sectors -= count;
            at += Blkif.SegmentSize;
        }
    }

    private static void WriteSegment(ulong at, uint reference, byte first, byte last) =>
        PhysicalMemory.Write(at, reference | (ulong)first << 32 | (ulong)last << 40);

    private static int ZeroPieces(ulong sectors) =>
        (int)((sectors + PageSectors - 1) / PageSectors);

    private ulong TableAddress(short table) => _memory + (ulong)((1 << MaximumRingOrder) + table) * Cpu.PageSize;

    private ulong IdOf(short index) => (ulong)_parts[index].Generation << 16 | (ushort)index;

    private bool TryTakeResponse()
    {
        if (!_isConnected)
        {
            return false;
        }

        if (!_ring.TryCountResponses(out uint count))
        {
            return Break(FrontendFault.ResponseIndexJump, count);
        }

        if (count == 0)
        {
            return false;
        }

        ulong entry = _ring.TakeResponse();
        ulong id = PhysicalMemory.Read<ulong>(entry + BlkifLayout.ResponseId);
        short status = PhysicalMemory.Read<short>(entry + BlkifLayout.ResponseStatus);
        short index = (short)(id & 0x7fff);
        if (index >= MaximumParts || _parts[index].State != BlockPartState.Sent || id != IdOf(index))
        {
            return Break(FrontendFault.IdNotInFlight, id);
        }

        _completed++;
        if (!End(index, Translate(status)))
        {
            return Break(FrontendFault.PageStillInUse, id);
        }

        return true;
    }

    private bool Break(FrontendFault fault, ulong detail)
    {
        _isConnected = false;
        _health.Break(fault, _number, detail);
        return false;
    }

    private static BlockStatus Translate(short status) => (BlkifStatus)status switch
    {
        BlkifStatus.Okay => BlockStatus.Success,
        BlkifStatus.NotSupported => BlockStatus.Unsupported,
        _ => BlockStatus.Error,
    };

    // ---- The end of parts

    // False when the backend still uses a page of it: the part ends later.
    private bool End(short index, BlockStatus status)
    {
        Unlink(index);
        ref BlockPart part = ref _parts[index];
        part.Status = status;
        if (!_pieces.TryFree(ref part.FirstPiece))
        {
            part.State = BlockPartState.Ending;
            part.Status = BlockStatus.Error;
            part.Newer = _ending;
            _ending = index;
            return false;
        }

        Finish(index);
        return true;
    }

    private void Finish(short index)
    {
        ref BlockPart part = ref _parts[index];
        ref BlockTransfer transfer = ref _transfers[part.Request];
        short number = part.Request;
        if (transfer.Status == BlockStatus.Success)
        {
            transfer.Status = part.Status;
        }

        FreePart(index);
        if (--transfer.PartsLeft == 0)
        {
            _local.Add(transfer.Tag, (byte)((byte)transfer.Status | (transfer.IsBorrowed ? BorrowedMark : 0)));
            FreeTransfer(number);
        }
    }

    private void RetryEnding()
    {
        short index = _ending;
        _ending = None;
        while (index != None)
        {
            short next = _parts[index].Newer;
            if (_pieces.TryFree(ref _parts[index].FirstPiece))
            {
                Finish(index);
            }
            else
            {
                _parts[index].Newer = _ending;
                _ending = index;
            }

            index = next;
        }
    }

    // ---- Another connection

    // Everything that was in the ring waits to be sent again; what was answered is not done twice.
    private void Rewind()
    {
        if (_ring.InFlight != 0 && !_health.IsBroken)
        {
            _isConnected = true;
            while (TryTakeResponse())
            {
            }

            _isConnected = false;
        }

        short next;
        _firstWaiting = None;
        for (short index = _oldest; index != None; index = next)
        {
            next = _parts[index].Newer;
            if (_parts[index].State == BlockPartState.Lent)
            {
                // Older than all that wait: it goes on where it is.
                continue;
            }

            if (_parts[index].State == BlockPartState.Sent && !_pieces.TryRevoke(_parts[index].FirstPiece))
            {
                // It cannot be granted to another: it ends when this one lets go.
                End(index, BlockStatus.Error);
                continue;
            }

            _parts[index].State = BlockPartState.Waiting;
            _firstWaiting = _firstWaiting == None ? index : _firstWaiting;
        }
    }

    private void SendWaiting()
    {
        while (_firstWaiting != None && _ring.FreeEntries != 0)
        {
            if (_parts[_firstWaiting].State != BlockPartState.Waiting)
            {
                // Lent while those behind it were sent, or the other way round.
                _firstWaiting = _parts[_firstWaiting].Newer;
                continue;
            }

            // The backend before this one may have taken longer requests.
            if (Pieces(in _parts[_firstWaiting]) > _partPieces)
            {
                if (!TryShorten())
                {
                    return;
                }

                continue;
            }

            short index = _firstWaiting;
            Send(index);
            _firstWaiting = _parts[index].Newer;
        }
    }

    private static int Pieces(in BlockPart part) =>
        part.PieceCount == 0 && part.Operation == BlkifOperation.Write ? ZeroPieces(part.SectorCount) : part.PieceCount;

    // Makes a part of the beginning of the first that waits, as long as the backend takes. False when there is no room for its record now.
    private bool TryShorten()
    {
        short index = _firstWaiting;
        bool isZeroes = _parts[index].PieceCount == 0;
        int pieces = 0;
        int last = BlockPieceTable.None;
        uint within = 0;
        ulong sectors = isZeroes ? (ulong)_partPieces * PageSectors : MeasureBeginning(index, out last, out within, out pieces);
        bool needsTable = (isZeroes ? _partPieces : pieces) > Blkif.MaximumSegments;
        if (_freePartCount == 0 || _pieces.FreeCount == 0 || (needsTable && _freeTableCount == 0))
        {
            return false;
        }

        short first = NewPart(_parts[index].Operation, _parts[index].Request);
        Unlink(first);
        Link(first, _parts[index].Older);
        ref BlockPart head = ref _parts[first];
        ref BlockPart rest = ref _parts[index];
        head.Sector = rest.Sector;
        rest.Sector += sectors;
        if (isZeroes)
        {
            head.SectorCount = sectors;
            rest.SectorCount -= sectors;
        }
        else
        {
            // A piece that is cut counts for both.
            bool isCut = within != _pieces[last].Sectors;
            head.FirstPiece = rest.FirstPiece;
            head.PieceCount = pieces;
            rest.FirstPiece = _pieces.Cut(last, within);
            rest.PieceCount -= pieces - (isCut ? 1 : 0);
        }

        // The rest keeps its own.
        head.Table = needsTable ? _freeTables[--_freeTableCount] : None;
        _firstWaiting = first;
        return true;
    }

    // Whole blocks that the first pieces of a part hold, as many as the backend takes: their sectors, and where they end.
    private ulong MeasureBeginning(short index, out int last, out uint within, out int pieces)
    {
        ulong sum = 0;
        ulong sectors = 0;
        last = BlockPieceTable.None;
        within = 0;
        pieces = 0;
        int piece = _parts[index].FirstPiece;
        for (int i = 1; i <= _partPieces; i++)
        {
            ulong next = sum + _pieces[piece].Sectors;
            ulong whole = next & ~(ulong)(_blockSectors - 1);
            if (whole > sum)
            {
                sectors = whole;
                last = piece;
                within = (uint)(whole - sum);
                pieces = i;
            }

            sum = next;
            piece = _pieces.Next(piece);
        }

        return sectors;
    }
}
