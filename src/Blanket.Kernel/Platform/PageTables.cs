using System;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Builds page tables of the hypervisor's part of the address space. Frames of tables come from <see cref="BootFrames"/>.</summary>
internal static class PageTables
{
    /// <summary>The table below an entry; made when there is none.</summary>
    /// <param name="table">Frame of the upper table.</param>
    /// <param name="index">Entry in it.</param>
    /// <param name="flags">Flags of the entry when it is made.</param>
    /// <param name="below">Frame of the lower table.</param>
    /// <returns>False when memory is out or the entry maps memory itself.</returns>
    internal static bool TryDescend(ulong table, int index, ulong flags, out ulong below)
    {
        ref ulong entry = ref PhysicalMemory.FrameAs<ulong>(table)[index];
        if ((entry & PageFlags.Present) != 0)
        {
            below = PageFlags.Frame(entry);
            return (entry & PageFlags.Large) == 0;
        }

        if (!BootFrames.TryTakeTable(out below))
        {
            return false;
        }

        entry = (below << Cpu.PageShift) | flags;
        return true;
    }

    /// <summary>Maps a range with pages of one size; nothing may be mapped there yet.</summary>
    /// <param name="root">Frame of the L4 table.</param>
    /// <param name="linear">Linear address, aligned to the page size.</param>
    /// <param name="physical">Physical range, aligned to the page size.</param>
    /// <param name="level">Table whose entries map it: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB pages.</param>
    /// <param name="flags">Flags of the mapping.</param>
    /// <param name="tableFlags">Flags of the entries of upper tables that are made for it.</param>
    /// <returns>False when memory is out.</returns>
    internal static bool TryMap(
        ulong root, ulong linear, PhysicalRange physical, int level, ulong flags, ulong tableFlags = PageFlags.Table)
    {
        ulong size = 1UL << (Cpu.PageShift + (level - 1) * 9);
        flags |= level > 1 ? PageFlags.Large : 0;
        ulong address = physical.Start;
        while (address < physical.End)
        {
            if (!TryFindTable(root, linear, level, tableFlags, out ulong table))
            {
                return false;
            }

            Span<ulong> entries = PhysicalMemory.FrameAs<ulong>(table);
            for (int i = PageFlags.Index(linear, level); i < PageFlags.TableEntries && address < physical.End; i++)
            {
                entries[i] = address | flags;
                address += size;
                linear += size;
            }
        }

        return true;
    }

    /// <summary>The table of a level that covers a linear address; made with those above it when there is none.</summary>
    internal static bool TryFindTable(ulong root, ulong linear, int level, ulong flags, out ulong table)
    {
        table = root;
        for (int upper = 4; upper > level; upper--)
        {
            if (!TryDescend(table, PageFlags.Index(linear, upper), flags, out table))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The frame that a linear address is mapped to.</summary>
    /// <returns>False when it is not mapped.</returns>
    internal static bool TryTranslate(ulong root, ulong linear, out ulong frame)
    {
        ulong table = root;
        for (int level = 4; level >= 1; level--)
        {
            ulong entry = PhysicalMemory.FrameAs<ulong>(table)[PageFlags.Index(linear, level)];
            if ((entry & PageFlags.Present) == 0)
            {
                break;
            }

            if (level == 1 || (entry & PageFlags.Large) != 0)
            {
                ulong within = (1UL << ((level - 1) * 9)) - 1;
                frame = (PageFlags.Frame(entry) & ~within) | ((linear >> Cpu.PageShift) & within);
                return true;
            }

            table = PageFlags.Frame(entry);
        }

        frame = 0;
        return false;
    }
}
