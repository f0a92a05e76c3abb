using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>All of physical memory at <see cref="AddressSpace.DirectMapBase"/>: writable, never executable, memory only.</summary>
internal static class DirectMap
{
    /// <summary>The most physical memory that the hypervisor's address space can hold: what lies above is not used.</summary>
    internal const ulong MaximumAddress = AddressSpace.HypervisorEnd - AddressSpace.DirectMapBase;

    /// <summary>Maps every range of a set with the largest pages that fit.</summary>
    /// <param name="root">Frame of the L4 table.</param>
    /// <param name="memory">Page-aligned ranges below <see cref="MaximumAddress"/>.</param>
    /// <param name="small">A range that gets 4 KiB pages, so that their permissions can differ: the image.</param>
    /// <param name="hasHugePages">The CPU knows 1 GiB pages.</param>
    /// <returns>False when memory for the tables is out.</returns>
    internal static bool TryBuild(ulong root, in MemoryRanges memory, PhysicalRange small, bool hasHugePages)
    {
        for (int i = 0; i < memory.Count; i++)
        {
            if (!TryMap(root, memory[i], small, hasHugePages))
            {
                return false;
            }
        }

        return true;
    }

    private static bool TryMap(ulong root, PhysicalRange range, PhysicalRange small, bool hasHugePages)
    {
        ulong address = range.Start;
        while (address < range.End)
        {
            int level = hasHugePages && Fits(address, range.End, PageFlags.HugeSize, small) ? 3
                : Fits(address, range.End, PageFlags.LargeSize, small) ? 2
                : 1;
            ulong size = 1UL << (Cpu.PageShift + (level - 1) * 9);
            PhysicalRange page = new(address, address + size);
            if (!PageTables.TryMap(root, AddressSpace.DirectMapBase + address, page, level, PageFlags.Data))
            {
                return false;
            }

            address += size;
        }

        return true;
    }

    private static bool Fits(ulong address, ulong end, ulong size, PhysicalRange small) =>
        (address & (size - 1)) == 0 && end - address >= size && !small.Overlaps(new PhysicalRange(address, address + size));

    /// <summary>Makes code and constants of the image read-only in the direct map too: after this nothing can change them.</summary>
    internal static void SealImage(ulong root)
    {
        for (ulong address = ImageLayout.Start; address < ImageLayout.ReadOnlyEnd; address += Cpu.PageSize)
        {
            ulong linear = AddressSpace.DirectMapBase + address;
            if (PageTables.TryFindTable(root, linear, 1, PageFlags.Table, out ulong table))
            {
                PhysicalMemory.FrameAs<ulong>(table)[PageFlags.Index(linear, 1)] = address | PageFlags.Constants;
                Cpu.InvalidatePage(linear);
            }
        }
    }
}
