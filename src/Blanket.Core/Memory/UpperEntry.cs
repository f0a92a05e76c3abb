using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// What a present entry of an L2, L3 or L4 table holds: a reference and a type count on a table of the level below, or, as
/// a linear entry, on a table of its own level.
/// </summary>
internal static class UpperEntry
{
    /// <summary>Takes what an entry needs; the owner's page-table lock is held.</summary>
    /// <param name="owner">Owner of the table.</param>
    /// <param name="entry">A present entry.</param>
    /// <param name="table">The table that it is for.</param>
    /// <param name="level">Level of the table, 2 to 4.</param>
    /// <param name="actor">The vCPU on whose behalf this happens.</param>
    /// <param name="hasReference">The entry already holds its reference, from suspended work.</param>
    /// <param name="keepsReference">The entry keeps the reference when this is suspended.</param>
    internal static int Get(
        Domain owner, ulong entry, ulong table, int level, Vcpu actor, bool hasReference, bool keepsReference)
    {
        if ((entry & PageTableEntry.UpperRefused) != 0)
        {
            return -Errno.EINVAL;
        }

        ulong frame = PageTableEntry.Frame(entry);
        int result = PageTableReference.GetFrame(owner, frame, level - 1, actor, hasReference, keepsReference);
        if (result == -Errno.EINVAL && LinearPageTable.TryGet(owner, entry, table, level))
        {
            if (hasReference)
            {
                // It has one of its own now.
                ReferenceCount.Put(frame, ref FrameTable.Of(frame));
            }

            return 0;
        }

        return result;
    }

    /// <summary>Whether an entry holds references: it is present and does not refer to its own table.</summary>
    internal static bool HoldsReference(ulong entry, ulong table) =>
        (entry & PageTableEntry.Present) != 0 && PageTableEntry.Frame(entry) != table;
}
