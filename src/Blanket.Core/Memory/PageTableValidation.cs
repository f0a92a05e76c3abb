using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Turns a frame's contents into a page table: every present entry is checked, gets its references, and is adjusted. Whatever
/// happens, <see cref="TableProgress"/> tells which entries hold references.
/// </summary>
internal static class PageTableValidation
{
    /// <summary>Validates from where <see cref="TableProgress"/> stands.</summary>
    /// <returns>0; -ERESTART when suspended; otherwise an error, and the frame is the actor's pending table if something is left to undo.</returns>
    internal static int Run(Domain owner, ulong frame, ref FrameInfo info, int level, Vcpu actor)
    {
        if (level == 1)
        {
            return ValidateL1(owner, frame, ref info);
        }

        int result = ValidateUpper(owner, frame, ref info, level, actor);
        if (result == 0 && level == 4)
        {
            HypervisorSlots.Fill(frame, owner);
        }

        return result;
    }

    private static int ValidateL1(Domain owner, ulong frame, ref FrameInfo info)
    {
        Span<EntryGroup> groups = PhysicalMemory.FrameAs<EntryGroup>(frame);
        for (int group = 0; group < groups.Length; group++)
        {
            if (groups[group].AnyPresent)
            {
                int result = ValidateL1Group(owner, frame, ref info, group * EntryGroup.Size);
                if (result < 0)
                {
                    PageTableRelease.ReleaseL1(owner, frame, ref info);
                    return result;
                }
            }
        }

        return 0;
    }

    private static int ValidateL1Group(Domain owner, ulong frame, ref FrameInfo info, int first)
    {
        Span<ulong> entries = PhysicalMemory.FrameAs<ulong>(frame);
        ushort id = owner.Id;
        for (int i = first; i < first + EntryGroup.Size; i++)
        {
            ulong entry = entries[i];
            if ((entry & PageTableEntry.Present) == 0)
            {
                continue;
            }

            int result = L1Entry.Get(entry, id);
            if (result < 0)
            {
                return result;
            }

            TableProgress.Set(ref info, i + 1, false);
            ulong adjusted = PageTableEntry.AdjustL1(entry);
            if (adjusted != entry)
            {
                entries[i] = adjusted;
            }
        }

        return 0;
    }

    private static int ValidateUpper(Domain owner, ulong frame, ref FrameInfo info, int level, Vcpu actor)
    {
        Span<ulong> entries = PhysicalMemory.FrameAs<ulong>(frame);
        Span<EntryGroup> groups = PhysicalMemory.FrameAs<EntryGroup>(frame);
        int start = TableProgress.Entries(ref info);
        bool hasReference = TableProgress.NextHoldsReference(ref info);
        bool worked = false;
        for (int i = start; i < entries.Length; i++, hasReference = false)
        {
            if (i % EntryGroup.Size == 0 && !groups[i / EntryGroup.Size].AnyPresent)
            {
                i += EntryGroup.Size - 1;
                continue;
            }

            ulong entry = entries[i];
            if ((entry & PageTableEntry.Present) == 0 || (level == 4 && HypervisorSlots.Contains(i)))
            {
                continue;
            }

            if (worked && Preemption.IsNeeded)
            {
                TableProgress.Set(ref info, i, hasReference);
                return -Errno.ERESTART;
            }

            int result = UpperEntry.Get(owner, entry, frame, level, actor, hasReference, keepsReference: true);
            if (result == -Errno.ERESTART)
            {
                TableProgress.Set(ref info, i, true);
                return result;
            }

            if (result < 0)
            {
                // The pending table, if any, is this entry's: the entry now keeps the reference that it came with.
                hasReference |= actor.PendingTableFrame != 0;
                if (i > 0 || hasReference)
                {
                    TableProgress.Set(ref info, i, hasReference);
                    actor.PendingTableFrame = frame;
                    actor.PendingTableIsPartial = true;
                }

                return result;
            }

            TableProgress.Set(ref info, i + 1, false);
            worked = true;
            ulong adjusted = PageTableEntry.AdjustUpper(entry, level);
            if (adjusted != entry)
            {
                entries[i] = adjusted;
            }
        }

        return 0;
    }
}
