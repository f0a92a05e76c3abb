using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>The locks that this CPU holds, newest last: checked for order, released when a handler is abandoned.</summary>
public static unsafe class HeldLocks
{
    /// <summary>The most locks that one CPU holds at once.</summary>
    public const int Maximum = 12;

#if METAL
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void CheckOrder(uint acquired)
    {
        CpuBlock* block = Cpu.CurrentBlock();
        uint count = block->HeldLockCount;
        if (count != 0 && ((SpinLock*)block->HeldLock[count - 1])->Rank > acquired)
        {
            Check.Fail();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Push(ref SpinLock held)
    {
        CpuBlock* block = Cpu.CurrentBlock();
        uint count = block->HeldLockCount;
        if (count >= Maximum)
        {
            Check.Fail();
        }

        block->HeldLock[count] = (ulong)Unsafe.AsPointer(ref held);
        block->HeldLockCount = count + 1;
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
    internal static void CheckOrder(uint acquired)
    {
    }

    internal static void Push(ref SpinLock held)
    {
    }

    internal static void Pop(ref SpinLock held)
    {
    }
#endif
}
