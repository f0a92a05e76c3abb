using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>What a present L1 entry holds: a reference on the frame that it maps, and a writable type count if it may write.</summary>
internal static class L1Entry
{
    /// <summary>Takes what an entry needs.</summary>
    /// <param name="entry">A present entry.</param>
    /// <param name="owner">Id of the domain that must own the frame.</param>
    /// <returns>
    /// 0; -EINVAL for a forbidden flag or the invalid frame number; -EPERM for what is not memory;
    /// -EBUSY when the frame is not the owner's or is in use as something that must not be written.
    /// </returns>
    internal static int Get(ulong entry, ushort owner)
    {
        if ((entry & PageTableEntry.L1Refused) != 0)
        {
            return -Errno.EINVAL;
        }

        ulong frame = PageTableEntry.Frame(entry);
        if (!FrameTable.IsValid(frame))
        {
            return NotMemory(frame);
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        if (!ReferenceCount.TryGet(frame, ref info, owner))
        {
            return info.State == FrameState.Reserved ? -Errno.EPERM : -Errno.EBUSY;
        }

        if ((entry & PageTableEntry.Writable) != 0 && !WritableType.TryGet(ref info))
        {
            ReferenceCount.Put(frame, ref info);
            return -Errno.EBUSY;
        }

        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int NotMemory(ulong frame) =>
        frame == PageTableEntry.AddressMask >> Cpu.PageShift ? -Errno.EINVAL : -Errno.EPERM;

    /// <summary>Drops what an entry held. The entry is no longer in its table.</summary>
    /// <param name="entry">The entry; one that is not present holds nothing.</param>
    /// <param name="mapper">Owner of the table.</param>
    internal static void Put(ulong entry, Domain mapper)
    {
        if ((entry & PageTableEntry.Present) == 0)
        {
            return;
        }

        ulong frame = PageTableEntry.Frame(entry);
        ref FrameInfo info = ref FrameTable.Of(frame);
        if ((entry & PageTableEntry.Writable) != 0)
        {
            if (info.Owner != mapper.Id)
            {
                // A type change flushes the owner's TLBs only.
                TlbFlush.All(mapper);
            }

            WritableType.Put(ref info);
        }

        ReferenceCount.Put(frame, ref info);
    }
}
