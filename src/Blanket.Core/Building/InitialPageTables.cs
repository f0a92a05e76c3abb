using System;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>Writes the page tables of a planned domain: the mapped region one to one, the p2m list where the kernel wants it.</summary>
internal static class InitialPageTables
{
    private const ulong Present = 1 << 0;
    private const ulong Writable = 1 << 1;
    private const ulong User = 1 << 2;
    private const ulong Accessed = 1 << 5;
    private const ulong Dirty = 1 << 6;

    private const ulong PageFlags = Present | Writable | Accessed;
    private const ulong ReadOnlyPageFlags = Present | Accessed;
    private const ulong TableFlags = Present | Writable | User | Accessed | Dirty;

    private const int EntriesPerTable = 1 << PageTableRange.BitsPerLevel;
    private const int TopLevel = 4;

    /// <summary>Fills the tables, whose pages are zeroed. Page tables are mapped read-only, everything else writable.</summary>
    /// <returns>Whether all is written; if not, it stopped because <see cref="Preemption.IsNeeded"/>.</returns>
    internal static bool TryWrite(in DomainLayout layout, in DomainPages pages, ref StepProgress steps)
    {
        if (steps.TryEnter())
        {
            LinkTables(layout, pages, layout.MainTables);
            LinkTables(layout, pages, layout.P2MTables);
            steps.Leave();
        }

        ulong behind = layout.RootPfn + layout.PageTablePages;
        return TryMap(layout, pages, layout.VirtualBase, 0, layout.RootPfn, writable: true, ref steps)
            && TryMap(layout, pages, AddressOf(layout, layout.RootPfn), layout.RootPfn, layout.PageTablePages, writable: false, ref steps)
            && TryMap(layout, pages, AddressOf(layout, behind), behind, layout.MappedPages - behind, writable: true, ref steps)
            && (!layout.P2MIsApart || TryMap(layout, pages, layout.P2MAddress, layout.P2MPfn, layout.P2MPages, writable: true, ref steps));
    }

    private static ulong AddressOf(in DomainLayout layout, ulong pfn) => unchecked(layout.VirtualBase + (pfn << Cpu.PageShift));

    // Enters every table into the one above it.
    private static void LinkTables(in DomainLayout layout, in DomainPages pages, in DomainLayout.LevelRanges tables)
    {
        for (int level = 1; level < TopLevel; level++)
        {
            PageTableRange range = tables[level - 1];
            for (ulong i = 0; i < range.Count; i++)
            {
                ulong index = range.First + i;
                ulong parent = level + 1 == TopLevel
                    ? layout.RootPfn
                    : layout.TablePfn(level + 1, index >> PageTableRange.BitsPerLevel);
                pages.Entries(parent)[(int)(index & (EntriesPerTable - 1))] =
                    (pages.Frame(range.Pfn + i) << Cpu.PageShift) | TableFlags;
            }
        }
    }

    private static bool TryMap(
        in DomainLayout layout, in DomainPages pages, ulong start, ulong pfn, ulong count, bool writable, ref StepProgress steps)
    {
        if (!steps.TryEnter())
        {
            return true;
        }

        ulong flags = writable ? PageFlags : ReadOnlyPageFlags;
        while (steps.Part < count)
        {
            ulong address = unchecked(start + (steps.Part << Cpu.PageShift));
            Span<ulong> table = pages.Entries(layout.TablePfn(1, PageTableRange.Index(address, 1)));
            int at = (int)((address >> Cpu.PageShift) & (EntriesPerTable - 1));
            int here = (int)Math.Min(count - steps.Part, (ulong)(EntriesPerTable - at));
            for (int i = 0; i < here; i++)
            {
                table[at + i] = (pages.Frame(pfn + steps.Part + (ulong)i) << Cpu.PageShift) | flags;
            }

            steps.Part += (ulong)here;
            if (Preemption.IsNeeded)
            {
                return false;
            }
        }

        steps.Leave();
        return true;
    }
}
