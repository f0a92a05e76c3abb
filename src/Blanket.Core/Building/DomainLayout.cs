using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// What goes where in a new domain, in page numbers: the start-of-day memory layout of xen.h. Everything up to
/// <see cref="MappedPages"/> is mapped one to one from <see cref="VirtualBase"/> on; a ramdisk or p2m list that need not be
/// mapped there follows.
/// </summary>
internal struct DomainLayout
{
    // "There is guaranteed to be at least 512kB padding after the final bootstrap element", and the region ends on a 4 MiB boundary.
    private const ulong PaddingPages = 512 * 1024 / Cpu.PageSize;
    private const ulong RegionAlignment = 4UL << 20;
    private const int PageTableLevels = 3;

    [System.Runtime.CompilerServices.InlineArray(PageTableLevels)]
    internal struct LevelRanges
    {
        private PageTableRange _first;
    }

    /// <summary>Linear address of page 0.</summary>
    internal ulong VirtualBase;

    /// <summary>Page of the kernel's first byte.</summary>
    internal ulong KernelPfn;
    internal ulong RamdiskPfn;

    /// <summary>Whether the ramdisk is within the mapped region.</summary>
    internal bool RamdiskIsMapped;
    internal ulong P2MPfn;

    /// <summary>Pages of the p2m list alone.</summary>
    internal ulong P2MPages;

    /// <summary>Pages of the p2m list and of the page tables that are there only for it.</summary>
    internal ulong P2MRegionPages;

    /// <summary>Linear address of the p2m list.</summary>
    internal ulong P2MAddress;

    /// <summary>Whether the p2m list is at an address that the kernel chose.</summary>
    internal bool P2MIsApart;
    internal ulong StartInfoPfn;
    internal ulong StorePfn;
    internal ulong ConsolePfn;

    /// <summary>Page of the root table; the other tables of the mapped region follow.</summary>
    internal ulong RootPfn;

    /// <summary>Page tables of the mapped region, the root included.</summary>
    internal ulong PageTablePages;
    internal ulong StackPfn;

    /// <summary>Pages that are mapped.</summary>
    internal ulong MappedPages;

    /// <summary>Tables of level 1 to 3 ([0] is level 1) of the mapped region.</summary>
    internal LevelRanges MainTables;

    /// <summary>Those that only the p2m list needs.</summary>
    internal LevelRanges P2MTables;

    /// <summary>Plans a domain.</summary>
    /// <param name="pages">Its memory in pages, at most <see cref="DomainPages.Maximum"/>.</param>
    internal static BuildStatus Plan(in KernelParameters kernel, ulong ramdiskBytes, ulong pages, out DomainLayout layout)
    {
        layout = default;
        layout.VirtualBase = kernel.VirtualBase;
        layout.P2MPages = PagesOf(pages * sizeof(ulong));
        layout.RamdiskIsMapped = !kernel.TakesUnmappedRamdisk;

        // Like Xen's loader: an address that is not aligned or not below the kernel is ignored.
        layout.P2MIsApart = kernel.InitialP2M < kernel.VirtualBase && (kernel.InitialP2M & (Cpu.PageSize - 1)) == 0;

        ulong ramdiskPages = PagesOf(ramdiskBytes);
        layout.KernelPfn = (kernel.KernelStart - kernel.VirtualBase) >> Cpu.PageShift;
        ulong next = PagesOf(kernel.KernelEnd - kernel.VirtualBase);
        if (next > pages || ramdiskPages > pages)
        {
            return BuildStatus.MemoryTooSmall;
        }

        if (layout.RamdiskIsMapped)
        {
            layout.RamdiskPfn = Take(ref next, ramdiskPages);
        }

        if (!layout.P2MIsApart)
        {
            layout.P2MPfn = Take(ref next, layout.P2MPages);
            layout.P2MAddress = unchecked(layout.VirtualBase + (layout.P2MPfn << Cpu.PageShift));
            layout.P2MRegionPages = layout.P2MPages;
        }

        layout.StartInfoPfn = Take(ref next, 1);
        layout.StorePfn = Take(ref next, 1);
        layout.ConsolePfn = Take(ref next, 1);
        layout.RootPfn = next;
        if (!layout.TryPlanMainTables())
        {
            return BuildStatus.BadAddresses;
        }

        layout.StackPfn = layout.RootPfn + layout.PageTablePages;
        next = layout.MappedPages;
        if (!layout.RamdiskIsMapped)
        {
            layout.RamdiskPfn = Take(ref next, ramdiskPages);
        }

        if (layout.P2MIsApart && !layout.TryPlanP2M(kernel.InitialP2M, ref next))
        {
            return BuildStatus.BadP2MAddress;
        }

        return next <= pages ? BuildStatus.Ok : BuildStatus.MemoryTooSmall;
    }

    /// <summary>The page that holds table number <paramref name="index"/> of a level (1 to 3).</summary>
    internal readonly ulong TablePfn(int level, ulong index)
    {
        PageTableRange range = MainTables[level - 1].Contains(index) ? MainTables[level - 1] : P2MTables[level - 1];
        Check.That(range.Contains(index));
        return range.Pfn + (index - range.First);
    }

    // The tables map themselves: the region grows until what it needs fits.
    private bool TryPlanMainTables()
    {
        PageTablePages = 0;
        while (true)
        {
            ulong needed = (RootPfn + PageTablePages + 1 + PaddingPages) << Cpu.PageShift;
            ulong end = unchecked(VirtualBase + needed + (RegionAlignment - 1)) & ~(RegionAlignment - 1);
            ulong last = unchecked(end - 1);
            if (last < VirtualBase || !AddressSpace.IsGuestRange(VirtualBase, last - VirtualBase + 1))
            {
                return false;
            }

            ulong tables = PlaceTables(ref MainTables, VirtualBase, last, RootPfn + 1);
            MappedPages = (last - VirtualBase + 1) >> Cpu.PageShift;
            if (PageTablePages == tables + 1)
            {
                return true;
            }

            PageTablePages = tables + 1;
        }
    }

    private bool TryPlanP2M(ulong address, ref ulong next)
    {
        ulong bytes = P2MPages << Cpu.PageShift;
        if (!AddressSpace.IsGuestRange(address, bytes) || address + bytes > VirtualBase)
        {
            return false;
        }

        P2MAddress = address;
        P2MPfn = Take(ref next, P2MPages);
        ulong tables = PlaceTables(ref P2MTables, address, address + bytes - 1, next);
        next += tables;
        P2MRegionPages = P2MPages + tables;
        return true;
    }

    // From the third level down, in consecutive pages; tables that the main region has already are shared.
    private readonly ulong PlaceTables(ref LevelRanges ranges, ulong first, ulong last, ulong pfn)
    {
        ulong total = 0;
        for (int level = PageTableLevels; level >= 1; level--)
        {
            PageTableRange range = PageTableRange.Covering(first, last, level, pfn + total);
            if (first != VirtualBase)
            {
                range.EndBefore(PageTableRange.Index(VirtualBase, level));
            }

            ranges[level - 1] = range;
            total += range.Count;
        }

        return total;
    }

    private static ulong Take(ref ulong next, ulong pages)
    {
        ulong first = next;
        next += pages;
        return first;
    }

    private static ulong PagesOf(ulong bytes) => (bytes + (Cpu.PageSize - 1)) >> Cpu.PageShift;
}
