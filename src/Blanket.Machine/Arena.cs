namespace Blanket.Machine;

/// <summary>
/// Frames that hold the objects of one owner (the hypervisor itself, a domain) and are freed as a whole.
/// 'new' works only between <see cref="Enter"/> or <see cref="TryEnter"/> and <see cref="Leave"/>. On the host flavour the collector owns the objects,
/// and the frames are taken all the same.
/// </summary>
public sealed unsafe class Arena
{
    private const int BlockHeaderSize = 16;

    // Arena frames are chained: each block's first word is the physical address of the block before it, its second word the order.
    private ulong _lastBlock;
    private nuint _cursor;
    private nuint _limit;
    private ulong _frames;

    // Where the block before the last one was left off.
    private nuint _cursorBefore;
    private nuint _limitBefore;

    /// <summary>Frames that it holds.</summary>
    public ulong Frames => _frames;

    /// <summary>It holds entries of tables that only grow, so its frames are counted among theirs (<see cref="TableFrames"/>).</summary>
    public bool IsTable { get; init; }

    /// <summary>Directs 'new' to this arena, for one CPU at a time, with memory for all that is created until <see cref="Leave"/>.</summary>
    /// <param name="bytes">At least what that takes; what of it is not used is given back.</param>
    /// <returns>False when memory is out; then 'new' works no more than before.</returns>
    public bool TryEnter(int bytes)
    {
        AcquireLock();
        if (_limit - _cursor < (nuint)bytes && !TryAddBlock((nuint)bytes))
        {
            ReleaseLock();
            return false;
        }

        Direct();
        return true;
    }

    /// <summary>Directs 'new' to this arena, for one CPU at a time. When memory runs out the hypervisor ends: at boot only.</summary>
    public void Enter()
    {
        AcquireLock();
        Direct();
    }

    /// <summary>Ends what <see cref="Enter"/> or <see cref="TryEnter"/> began, and gives back the frames that are not needed.</summary>
    public void Leave()
    {
        EndDirection();
        if (_lastBlock != 0)
        {
            Trim();
        }

        ReleaseLock();
    }

    /// <summary>Frees all objects at once; nothing may refer to them any more. The arena is empty and usable afterwards.</summary>
    public void Release()
    {
        ulong block = _lastBlock;
        _lastBlock = 0;
        _cursor = 0;
        _limit = 0;
        Count(-(int)_frames);
        while (block != 0)
        {
            ulong previous = PhysicalMemory.At<ulong>(block);
            int order = (int)PhysicalMemory.At<ulong>(block + 8);
            FrameAllocator.Free(block >> Cpu.PageShift, order);
            block = previous;
        }
    }

    private bool TryAddBlock(nuint size)
    {
        int order = 0;
        while ((1UL << (order + Cpu.PageShift)) < size + BlockHeaderSize)
        {
            order++;
        }

        if (!FrameAllocator.TryAllocateForArena(order, out ulong frame))
        {
            return false;
        }

        ulong physical = frame << Cpu.PageShift;
        ulong bytes = 1UL << (order + Cpu.PageShift);
        PhysicalMemory.Bytes(physical, (int)bytes).Clear();
        PhysicalMemory.At<ulong>(physical) = _lastBlock;
        PhysicalMemory.At<ulong>(physical + 8) = (ulong)order;
        _lastBlock = physical;
        Count(1 << order);
        _cursorBefore = _cursor;
        _limitBefore = _limit;
        nuint start = PhysicalMemory.LinearAddress(physical, bytes);
        _cursor = start + BlockHeaderSize;
        _limit = start + (nuint)bytes;
        return true;
    }

    /// <summary>Frees the upper half of the last block as long as nothing is in it, and then the block if nothing at all is.</summary>
    private void Trim()
    {
        ref ulong order = ref PhysicalMemory.At<ulong>(_lastBlock + 8);
        nuint start = PhysicalMemory.LinearAddress(_lastBlock, BlockHeaderSize);
        nuint half = (_limit - start) / 2;
        while (order > 0 && _cursor <= _limit - half)
        {
            order--;
            FrameAllocator.Free((_lastBlock >> Cpu.PageShift) + (1UL << (int)order), (int)order);
            Count(-(1 << (int)order));
            _limit -= half;
            half /= 2;
        }

        if (_cursor == start + BlockHeaderSize)
        {
            ulong empty = _lastBlock;
            _lastBlock = PhysicalMemory.At<ulong>(empty);
            _cursor = _cursorBefore;
            _limit = _limitBefore;
            Count(-1);
            FrameAllocator.Free(empty >> Cpu.PageShift, 0);
        }
    }

    private void Count(int frames)
    {
        _frames = unchecked(_frames + (ulong)frames);
        if (IsTable)
        {
            TableFrames.Change(frames);
        }
    }

#if METAL
    private static SpinLock s_lock = default;
    private static Arena? s_current;

    /// <summary>Prepares the lock of all arenas; once at boot.</summary>
    public static void InitializeLock() => s_lock = new SpinLock(LockClass.Construction);

    private static void AcquireLock() => s_lock.Acquire();

    private static void ReleaseLock() => s_lock.Release();

    private void Direct()
    {
        s_current = this;
        Internal.Runtime.Allocation.Enter(_cursor, _limit, &Refill);
    }

    private void EndDirection()
    {
        _cursor = Internal.Runtime.Allocation.Leave(out _limit);
        s_current = null;
    }

    private static bool Refill(nuint size, nuint* start, nuint* end)
    {
        Arena arena = s_current!;
        bool added = arena.TryAddBlock(size);
        *start = arena._cursor;
        *end = arena._limit;
        return added;
    }
#else
    /// <summary>Prepares the lock of all arenas; once at boot.</summary>
    public static void InitializeLock()
    {
    }

    /// <summary>Host tests: takes bytes of the current block, as 'new' does; false when they are not there.</summary>
    public bool TryTake(int bytes)
    {
        bool fits = (nuint)bytes <= _limit - _cursor;
        _cursor += fits ? (nuint)bytes : 0;
        return fits;
    }

    private static void AcquireLock()
    {
    }

    private static void ReleaseLock()
    {
    }

    private static void Direct()
    {
    }

    private static void EndDirection()
    {
    }
#endif
}
