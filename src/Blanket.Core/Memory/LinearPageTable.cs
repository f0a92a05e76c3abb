using System.Threading;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Linear page tables: an entry of an L2, L3 or L4 table that refers, read-only, to a table of the same level. A table that has such
/// entries is not referred to by others, and the other way round, so that chains, and deep recursion when one is undone, cannot
/// arise. FrameInfo.PartialFlags counts, as a signed number: entries that a table has (positive), entries that refer to it (negative).
/// An entry that refers to its own table holds nothing and is not counted.
/// </summary>
internal static class LinearPageTable
{
    private const short Maximum = short.MaxValue;
    private const short Minimum = short.MinValue;

    /// <summary>Takes what a linear entry needs; the domain's page-table lock is held.</summary>
    /// <param name="domain">Owner of the table.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="table">The table that it is for.</param>
    /// <param name="level">Level of the table, 2 to 4.</param>
    /// <returns>False when it is not allowed.</returns>
    internal static bool TryGet(Domain domain, ulong entry, ulong table, int level)
    {
        if ((entry & PageTableEntry.Writable) != 0)
        {
            return false;
        }

        ulong target = PageTableEntry.Frame(entry);
        if (target == table)
        {
            return true;
        }

        if (!FrameTable.IsValid(target))
        {
            return false;
        }

        ref FrameInfo from = ref FrameTable.Of(table);
        ref FrameInfo to = ref FrameTable.Of(target);
        if (!ReferenceCount.TryGet(target, ref to, domain.Id))
        {
            return false;
        }

        ulong type = Volatile.Read(ref to.Type);
        bool isValidTable = (type & (FrameType.Mask | FrameType.Validated)) == (FrameType.OfLevel(level) | FrameType.Validated)
            && (type & FrameType.CountMask) is not 0 and not FrameType.CountMask;
        if (!isValidTable || Entries(ref from) is < 0 or Maximum || Entries(ref to) is > 0 or Minimum)
        {
            ReferenceCount.Put(target, ref to);
            return false;
        }

        Volatile.Write(ref to.Type, type + 1);
        Add(ref from, 1);
        Add(ref to, -1);
        return true;
    }

    /// <summary>Undoes the counts of a linear entry; its type count and reference are dropped by the caller.</summary>
    internal static void Uncount(ref FrameInfo table, ref FrameInfo target)
    {
        Add(ref table, -1);
        Add(ref target, 1);
    }

    /// <summary>The count of a table: positive for entries that it has, negative for entries that refer to it.</summary>
    internal static short Entries(ref FrameInfo info) => unchecked((short)info.PartialFlags);

    private static void Add(ref FrameInfo info, int change) =>
        info.PartialFlags = unchecked((ushort)(Entries(ref info) + change));
}
