using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>Undoes a page table: entries drop their references, from the last one that holds any down to the first.</summary>
internal static class PageTableRelease
{
    /// <summary>Releases from where <see cref="TableProgress"/> stands.</summary>
    /// <returns>0, or -ERESTART when suspended.</returns>
    internal static int Run(Domain owner, ulong frame, ref FrameInfo info, int level)
    {
        if (level == 1)
        {
            ReleaseL1(owner, frame, ref info);
            return 0;
        }

        int result = ReleaseUpper(owner, frame, ref info);
        if (result == 0 && level == 4)
        {
            HypervisorSlots.Clear(frame);
        }

        return result;
    }

    /// <summary>Drops what the entries of an L1 table hold.</summary>
    internal static void ReleaseL1(Domain owner, ulong frame, ref FrameInfo info)
    {
        Span<ulong> entries = PhysicalMemory.FrameAs<ulong>(frame);
        Span<EntryGroup> groups = PhysicalMemory.FrameAs<EntryGroup>(frame);
        for (int i = TableProgress.Entries(ref info) - 1; i >= 0; i--)
        {
            if (i % EntryGroup.Size == EntryGroup.Size - 1 && !groups[i / EntryGroup.Size].AnyPresent)
            {
                i -= EntryGroup.Size - 1;
                continue;
            }

            ulong entry = entries[i];
            if ((entry & PageTableEntry.Present) != 0)
            {
                TableProgress.Set(ref info, i, false);
                L1Entry.Put(entry, owner);
            }
        }

        TableProgress.Set(ref info, 0, false);
    }

    private static int ReleaseUpper(Domain owner, ulong frame, ref FrameInfo info)
    {
        Span<ulong> entries = PhysicalMemory.FrameAs<ulong>(frame);
        Span<EntryGroup> groups = PhysicalMemory.FrameAs<EntryGroup>(frame);
        bool isRoot = (info.Type & FrameType.Mask) == FrameType.L4Table;
        bool onlyIfPartial = TableProgress.NextHoldsReference(ref info);
        bool worked = false;
        int i = TableProgress.Entries(ref info) - (onlyIfPartial ? 0 : 1);
        for (; i >= 0; i--, onlyIfPartial = false)
        {
            if (i % EntryGroup.Size == EntryGroup.Size - 1 && !groups[i / EntryGroup.Size].AnyPresent)
            {
                i -= EntryGroup.Size - 1;
                continue;
            }

            ulong entry = entries[i];
            if (!UpperEntry.HoldsReference(entry, frame) || (isRoot && HypervisorSlots.Contains(i)))
            {
                continue;
            }

            if (worked && Preemption.IsNeeded)
            {
                TableProgress.Set(ref info, onlyIfPartial ? i : i + 1, onlyIfPartial);
                return -Errno.ERESTART;
            }

            int result = PageTableReference.PutFrame(owner, PageTableEntry.Frame(entry), onlyIfPartial, frame);
            if (result < 0)
            {
                TableProgress.Set(ref info, i, true);
                return result;
            }

            TableProgress.Set(ref info, i, false);
            worked = true;
        }

        return 0;
    }
}
