namespace Blanket.Machine;

/// <summary>
/// Frames that hold the objects of one owner (the hypervisor itself, a domain) and are freed as a whole.
/// 'new' works only between <see cref="Enter"/> and <see cref="Leave"/>. On the host flavour the collector owns the objects instead.
/// </summary>
public sealed unsafe class Arena
{
#if METAL
    private static SpinLock s_lock = default;
    private static Arena? s_current;

    // Arena frames are chained: each block's first word is the physical address of the block before it, its second word the order.
    private ulong _lastBlock;
    private nuint _cursor;
    private nuint _limit;
    private ulong _frames;

    private const uint BlockHeaderSize = 16;

    /// <summary>Frames that it holds.</summary>
    public ulong Frames => _frames;

    /// <summary>Directs 'new' to this arena, for one CPU at a time.</summary>
    public void Enter()
    {
        s_lock.Acquire();
        s_current = this;
        Internal.Runtime.Allocation.Enter(_cursor, _limit, &Refill);
    }

    /// <summary>Ends what <see cref="Enter"/> began.</summary>
    public void Leave()
    {
        _cursor = Internal.Runtime.Allocation.Leave(out _limit);
        s_current = null;
        s_lock.Release();
    }

    /// <summary>Frees all objects at once; nothing may refer to them any more. The arena is empty and usable afterwards.</summary>
    public void Release()
    {
        ulong block = _lastBlock;
        _lastBlock = 0;
        _cursor = 0;
        _limit = 0;
        _frames = 0;
        while (block != 0)
        {
            ulong previous = PhysicalMemory.At<ulong>(block);
            int order = (int)PhysicalMemory.At<ulong>(block + 8);
            FrameAllocator.Free(block >> Cpu.PageShift, order);
            block = previous;
        }
    }

    private static bool Refill(nuint size, nuint* start, nuint* end)
    {
        Arena arena = s_current!;
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
        PhysicalMemory.At<ulong>(physical) = arena._lastBlock;
        PhysicalMemory.At<ulong>(physical + 8) = (ulong)order;
        arena._lastBlock = physical;
        arena._frames += 1UL << order;
        *start = PhysicalMemory.LinearAddress(physical, bytes) + BlockHeaderSize;
        *end = *start - BlockHeaderSize + (nuint)bytes;
        return true;
    }

    /// <summary>Prepares the lock of all arenas; once at boot.</summary>
    public static void InitializeLock() => s_lock = new SpinLock(LockClass.Construction);
#else
    /// <summary>Frames that it holds; none on the host flavour.</summary>
    public ulong Frames => 0;

    public void Enter()
    {
    }

    public void Leave()
    {
    }

    public void Release()
    {
    }

    public static void InitializeLock()
    {
    }
#endif
}
