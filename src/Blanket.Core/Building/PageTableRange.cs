using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// The page tables of one level that cover a contiguous linear range, in consecutive pages of the domain.
/// Level 1 tables map 2 MiB each, level 2 tables 1 GiB, level 3 tables 512 GiB.
/// </summary>
internal struct PageTableRange
{
    /// <summary>Bits of an address that a level translates.</summary>
    internal const int BitsPerLevel = 9;

    private const ulong LinearMask = (1UL << 48) - 1;

    /// <summary>Number of the first table among all tables of the level.</summary>
    internal ulong First;

    /// <summary>Number of tables.</summary>
    internal ulong Count;

    /// <summary>Page that holds the first.</summary>
    internal ulong Pfn;

    /// <summary>Which table of a level maps a linear address.</summary>
    internal static ulong Index(ulong address, int level) =>
        (address & LinearMask) >> (Cpu.PageShift + level * BitsPerLevel);

    /// <summary>The tables of a level for a range of linear addresses, in pages from <paramref name="pfn"/> on.</summary>
    internal static PageTableRange Covering(ulong first, ulong last, int level, ulong pfn) => new()
    {
        First = Index(first, level),
        Count = Index(last, level) - Index(first, level) + 1,
        Pfn = pfn,
    };

    /// <summary>Drops the tables from number <paramref name="end"/> on.</summary>
    internal void EndBefore(ulong end)
    {
        if (First >= end)
        {
            Count = 0;
        }
        else if (First + Count > end)
        {
            Count = end - First;
        }
    }

    /// <summary>Whether table number <paramref name="index"/> is among these.</summary>
    internal readonly bool Contains(ulong index) => index >= First && index - First < Count;
}
