using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// Buddy allocator of machine frames. Blocks are 2^order frames, aligned to their size. One lock; a per-order
/// free list threads through <see cref="FrameInfo"/>, so no other memory is needed.
/// </summary>
public static class FrameAllocator
{
    /// <summary>Largest order: 1 GiB blocks.</summary>
    public const int MaximumOrder = 18;

    private static SpinLock s_lock;
    private static FreeLists s_heads;
    private static ulong s_free;
    private static ulong s_total;
    private static ulong s_claimed;
    private static ulong s_awaited = ulong.MaxValue;
    private static FreeFramesObserver? s_observer;

    [System.Runtime.CompilerServices.InlineArray(MaximumOrder + 1)]
    private struct FreeLists
    {
        private uint _head;
    }

    /// <summary>Frames that are not given to guests as their memory, so that the hypervisor has some for what it does for them.</summary>
    public static ulong Reserve;

    /// <summary>
    /// The last frames, which arenas alone may take: what guests have the hypervisor remember runs out of memory before the objects of a guest
    /// that is being started do.
    /// </summary>
    public static ulong ArenaReserve;

    /// <summary>Frames that are to become the memory of a guest that is being started: other guests get what is left beyond them.</summary>
    public static ulong ClaimedFrames => Volatile.Read(ref s_claimed);

    /// <summary>Whether as many frames are free as are claimed.</summary>
    public static bool IsClaimCovered => FreeFrames >= Reserve + ClaimedFrames;

    /// <summary>Frames that are free.</summary>
    public static ulong FreeFrames => Volatile.Read(ref s_free);

    /// <summary>Frames that the allocator has, free or in use.</summary>
    public static ulong TotalFrames => s_total;

    /// <summary>Starts empty; call once before <see cref="AddRange"/>.</summary>
    public static void Initialize()
    {
        s_lock = new SpinLock(LockClass.FrameAllocator);
        s_free = 0;
        s_total = 0;
        s_claimed = 0;
        s_awaited = ulong.MaxValue;
        for (int order = 0; order <= MaximumOrder; order++)
        {
            s_heads[order] = FrameInfo.None;
        }
    }

    /// <summary>Gives usable memory to the allocator.</summary>
    /// <param name="first">First frame.</param>
    /// <param name="count">Number of frames; all must have a record in <see cref="FrameTable"/>.</param>
    public static void AddRange(ulong first, ulong count)
    {
        s_lock.Acquire();
        s_total += count;
        while (count > 0)
        {
            int order = MaximumOrder;
            while ((first & ((1UL << order) - 1)) != 0 || 1UL << order > count)
            {
                order--;
            }

            FreeLocked(first, order);
            first += 1UL << order;
            count -= 1UL << order;
        }

        EndFree();
    }

    /// <summary>Claims frames that may not be free yet, for one guest at a time; until <see cref="EndClaim"/>.</summary>
    public static void Claim(ulong frames)
    {
        s_lock.Acquire();
        s_claimed = frames;
        s_lock.Release();
    }

    /// <summary>What is left of the claim is not claimed any more.</summary>
    public static void EndClaim() => Claim(0);

    /// <summary>Has an observer told once when so many frames are free; in place of what was awaited before.</summary>
    public static void Await(ulong frames, FreeFramesObserver observer)
    {
        s_lock.Acquire();
        s_observer = observer;
        s_awaited = frames;
        EndFree();
    }

    // Releases the lock.
    private static void EndFree()
    {
        bool isReached = s_free >= s_awaited;
        if (isReached)
        {
            s_awaited = ulong.MaxValue;
        }

        s_lock.Release();
        if (isReached)
        {
            s_observer!.Reached();
        }
    }

    /// <summary>2^order frames in a row for a guest's memory: never those of <see cref="Reserve"/> or <see cref="ArenaReserve"/>, contents undefined.</summary>
    /// <param name="order">0 to <see cref="MaximumOrder"/>.</param>
    /// <param name="frameLimit">Every frame is below this number.</param>
    /// <param name="fromClaim">The claim is for this guest, and becomes smaller.</param>
    /// <param name="frame">First frame of the block.</param>
    public static bool TryAllocateForGuest(int order, ulong frameLimit, bool fromClaim, out ulong frame)
    {
        frame = 0;
        if ((uint)order > MaximumOrder || IsMadeToFail())
        {
            return false;
        }

        ulong count = 1UL << order;
        s_lock.Acquire();
        bool found = s_free >= System.Math.Max(Reserve, ArenaReserve) + (fromClaim ? 0 : s_claimed) + count && TryTake(order, frameLimit, out frame);
        if (found && fromClaim)
        {
            s_claimed -= System.Math.Min(s_claimed, count);
        }

        s_lock.Release();
        return found;
    }

    /// <summary>One frame for the hypervisor, contents undefined.</summary>
    public static bool TryAllocate(out ulong frame) => TryAllocate(0, ulong.MaxValue, out frame);

    /// <summary>One zeroed frame for the hypervisor.</summary>
    public static bool TryAllocateZeroed(out ulong frame)
    {
        if (!TryAllocate(out frame))
        {
            return false;
        }

        PhysicalMemory.ZeroFrame(frame);
        return true;
    }

    /// <summary>2^order frames in a row, aligned to their size, contents undefined.</summary>
    /// <param name="order">0 to <see cref="MaximumOrder"/>.</param>
    /// <param name="frameLimit">Every frame is below this number (devices with narrow DMA addresses).</param>
    /// <param name="frame">First frame of the block.</param>
    public static bool TryAllocate(int order, ulong frameLimit, out ulong frame) => TryAllocate(order, frameLimit, Volatile.Read(ref ArenaReserve), out frame);

    /// <summary>2^order frames in a row for objects of the hypervisor, those of <see cref="ArenaReserve"/> too.</summary>
    public static bool TryAllocateForArena(int order, out ulong frame) => TryAllocate(order, ulong.MaxValue, 0, out frame);

    private static bool TryAllocate(int order, ulong frameLimit, ulong kept, out ulong frame)
    {
        frame = 0;
        if ((uint)order > MaximumOrder || IsMadeToFail())
        {
            return false;
        }

        s_lock.Acquire();
        bool found = s_free >= kept + (1UL << order) && TryTake(order, frameLimit, out frame);
        s_lock.Release();
        return found;
    }

#if METAL
    private static bool IsMadeToFail() => false;
#else
    private static int s_failureInterval;
    private static int s_attempts;

    /// <summary>Host tests: every so many-th allocation from now on fails; none with 0.</summary>
    public static void FailEvery(int interval)
    {
        s_failureInterval = interval;
        s_attempts = 0;
    }

    /// <summary>Host tests: allocations that failed since <see cref="FailEvery"/> for no other reason.</summary>
    public static int Failures => s_failureInterval == 0 ? 0 : s_attempts / s_failureInterval;

    private static bool IsMadeToFail() => s_failureInterval != 0 && Interlocked.Increment(ref s_attempts) % s_failureInterval == 0;
#endif

    private static bool TryTake(int order, ulong frameLimit, out ulong frame)
    {
        for (int available = order; available <= MaximumOrder; available++)
        {
            for (uint candidate = s_heads[available]; candidate != FrameInfo.None; candidate = FrameTable.Of(candidate).Next)
            {
                if (candidate + (1UL << order) > frameLimit)
                {
                    // Only callers with a limit look further than the first block.
                    continue;
                }

                Unlink(candidate, available);
                while (available > order)
                {
                    available--;
                    Link(candidate + (1U << available), available);
                }

                for (ulong i = 0; i < 1UL << order; i++)
                {
                    ref FrameInfo info = ref FrameTable.Of(candidate + i);
                    info = default;
                    info.State = FrameState.Hypervisor;
                }

                s_free -= 1UL << order;
                frame = candidate;
                return true;
            }
        }

        frame = 0;
        return false;
    }

    /// <summary>Takes a free frame out of the allocator for good, because it is to be no memory any more; <see cref="AddRange"/> brings it back.</summary>
    public static bool TryWithdraw(out ulong frame)
    {
        s_lock.Acquire();
        bool found = TryTake(0, ulong.MaxValue, out frame);
        if (found)
        {
            FrameTable.Of(frame).State = FrameState.Reserved;
            s_total--;
        }

        s_lock.Release();
        return found;
    }

    /// <summary>Returns one frame. Whoever frees guest data scrubs it first.</summary>
    public static void Free(ulong frame) => Free(frame, 0);

    /// <summary>Returns a block of 2^order frames that are in use.</summary>
    public static void Free(ulong frame, int order)
    {
        s_lock.Acquire();
        for (ulong i = 0; i < 1UL << order; i++)
        {
            Check.That(FrameTable.Of(frame + i).State != FrameState.Free);
        }

        FreeLocked(frame, order);
        EndFree();
    }

    private static void FreeLocked(ulong frame, int order)
    {
        s_free += 1UL << order;
        for (ulong i = 0; i < 1UL << order; i++)
        {
            ref FrameInfo info = ref FrameTable.Of(frame + i);
            info = default;
            info.State = FrameState.Free;
            // Inside a block, not its head: no order matches.
            info.Order = byte.MaxValue;
        }

        while (order < MaximumOrder)
        {
            ulong buddy = frame ^ (1UL << order);
            if (!FrameTable.IsValid(buddy))
            {
                break;
            }

            ref FrameInfo info = ref FrameTable.Of(buddy);
            if (info.State != FrameState.Free || info.Order != order)
            {
                break;
            }

            Unlink((uint)buddy, order);
            info.Order = byte.MaxValue;
            frame &= ~(1UL << order);
            order++;
        }

        Link((uint)frame, order);
    }

    private static void Link(uint frame, int order)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        info.State = FrameState.Free;
        info.Order = (byte)order;
        info.Previous = FrameInfo.None;
        info.Next = s_heads[order];
        if (info.Next != FrameInfo.None)
        {
            FrameTable.Of(info.Next).Previous = frame;
        }

        s_heads[order] = frame;
    }

    private static void Unlink(uint frame, int order)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        if (info.Previous == FrameInfo.None)
        {
            s_heads[order] = info.Next;
        }
        else
        {
            FrameTable.Of(info.Previous).Next = info.Next;
        }

        if (info.Next != FrameInfo.None)
        {
            FrameTable.Of(info.Next).Previous = info.Previous;
        }
    }
}
