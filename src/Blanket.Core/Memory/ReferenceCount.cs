using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// FrameInfo.Count: how many references keep a frame with its owner. A frame whose count is 0 cannot be referred to;
/// when the last reference goes, the frame goes back to the allocator.
/// </summary>
public static class ReferenceCount
{
    /// <summary>The owner itself holds one of the references; cleared when the owner gives the frame up.</summary>
    public const ulong Allocated = 1UL << 63;

    /// <summary>A frame of the hypervisor that is shared with its owner (<see cref="SharedFrames"/>).</summary>
    public const ulong Shared = 1UL << 62;

    /// <summary>The number of references.</summary>
    public const ulong Mask = (1UL << 48) - 1;

    /// <summary>
    /// Takes a reference on a frame of a domain.
    /// </summary>
    /// <param name="frame">The frame.</param>
    /// <param name="info">Its record.</param>
    /// <param name="owner">Id of the domain that must own it.</param>
    /// <returns>False when the frame is not that domain's, or has more references than can be counted.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryGet(ulong frame, ref FrameInfo info, ushort owner)
    {
        if (!TryGetAnyOwner(ref info))
        {
            return false;
        }

        // The owner cannot change while the reference is held.
        if (info.Owner == owner && info.State == FrameState.Domain)
        {
            return true;
        }

        Put(frame, ref info);
        return false;
    }

    /// <summary>Takes a reference on a frame that somebody owns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryGetAnyOwner(ref FrameInfo info)
    {
        ulong count = Volatile.Read(ref info.Count);
        while (true)
        {
            // Not in use (0), would wrap (-1), or the last one is kept for GetHeld (-2).
            if (unchecked((count + 2) & Mask) <= 2)
            {
                return false;
            }

            ulong seen = Interlocked.CompareExchange(ref info.Count, count + 1, count);
            if (seen == count)
            {
                return true;
            }

            count = seen;
        }
    }

    /// <summary>Takes another reference on a frame that the caller has one on, at most one at a time; cannot fail.</summary>
    internal static void GetHeld(ref FrameInfo info)
    {
        ulong count = Interlocked.Increment(ref info.Count);
        Check.That((count & Mask) > 1);
    }

    /// <summary>Drops a reference; the last one gives the frame back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Put(ulong frame, ref FrameInfo info)
    {
        ulong left = Interlocked.Decrement(ref info.Count) & Mask;
        if (left == 0)
        {
            FrameOwnership.Release(frame, ref info);
        }
        else if (left == Mask)
        {
            Check.Fail();
        }
    }

    /// <summary>Drops the owner's own reference, once; the caller holds another one.</summary>
    /// <returns>False when the owner had given the frame up before.</returns>
    internal static bool TryPutAllocated(ref FrameInfo info)
    {
        ulong count = Volatile.Read(ref info.Count);
        while ((count & Allocated) != 0)
        {
            Check.That((count & Mask) > 1);
            ulong seen = Interlocked.CompareExchange(ref info.Count, (count & ~Allocated) - 1, count);
            if (seen == count)
            {
                return true;
            }

            count = seen;
        }

        return false;
    }
}
