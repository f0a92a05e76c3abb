using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>The locks that this CPU holds, newest last: checked for order, released when a handler is abandoned.</summary>
public static unsafe class HeldLocks
{
    /// <summary>The most locks that one CPU holds at once.</summary>
    public const int Maximum = 12;

#if METAL
    /// <summary>Where this CPU will note the next lock that it takes.</summary>
    internal readonly struct Place
    {
        private readonly CpuBlock* _block;
        private readonly uint _count;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal Place(CpuBlock* block)
        {
            _block = block;
            _count = block->HeldLockCount;
        }

        /// <summary>Whether a lock of a rank may be taken now: in order, and not one too many.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal bool Allows(uint rank) =>
            _count == 0 || (_count < Maximum && ((SpinLock*)_block->HeldLock[_count - 1])->Rank <= rank);

        /// <summary>Notes a lock that was taken.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal void Push(ref SpinLock held)
        {
            _block->HeldLock[_count] = (ulong)Unsafe.AsPointer(ref held);
            _block->HeldLockCount = _count + 1;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Place Next() => new(Cpu.CurrentBlock());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Push(ref SpinLock held)
    {
        CpuBlock* block = Cpu.CurrentBlock();
        if (block->HeldLockCount >= Maximum)
        {
            Check.Fail();
        }

        new Place(block).Push(ref held);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Pop(ref SpinLock held)
    {
        CpuBlock* block = Cpu.CurrentBlock();
        uint last = block->HeldLockCount - 1;
        ulong address = (ulong)Unsafe.AsPointer(ref held);
        if (last < Maximum && block->HeldLock[last] == address)
        {
            block->HeldLockCount = last;
        }
        else
        {
            Remove(block, address);
        }
    }

    /// <summary>Takes out a lock that is released before newer ones.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Remove(CpuBlock* block, ulong address)
    {
        for (uint i = block->HeldLockCount; i-- > 0;)
        {
            if (block->HeldLock[i] == address)
            {
                block->HeldLockCount--;
                for (; i < block->HeldLockCount; i++)
                {
                    block->HeldLock[i] = block->HeldLock[i + 1];
                }

                return;
            }
        }

        Check.Fail();
    }

    /// <summary>Whether this CPU holds a lock of the machine's (not of one domain's).</summary>
    public static bool AnyOfMachine()
    {
        CpuBlock* block = Cpu.CurrentBlock();
        for (uint i = 0; i < block->HeldLockCount; i++)
        {
            if (((SpinLock*)block->HeldLock[i])->Class >= LockClass.FirstMachineClass)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Releases everything that this CPU holds, newest first.</summary>
    public static void ReleaseAll()
    {
        CpuBlock* block = Cpu.CurrentBlock();
        while (block->HeldLockCount > 0)
        {
            block->HeldLockCount--;
            ((SpinLock*)block->HeldLock[block->HeldLockCount])->Unlock();
        }
    }
#else
    internal readonly struct Place
    {
        internal bool Allows(uint rank) => true;

        internal void Push(ref SpinLock held)
        {
        }
    }

    internal static Place Next() => default;

    internal static void Push(ref SpinLock held)
    {
    }

    internal static void Pop(ref SpinLock held)
    {
    }
#endif
}
