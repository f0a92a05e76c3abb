using System;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// A linear table with one entry for every machine frame, of which only the parts that describe memory have frames of their own.
/// The rest, holes in the physical address space, is one read-only frame of zeroes, mapped as often as needed:
/// so looking up any frame number below the end is safe, and holes cost next to nothing.
/// </summary>
internal struct SparseTable
{
    private readonly ulong _root;
    private readonly ulong _linear;
    private MemoryRanges _needed;
    private ulong _hole;
    private ulong _holeTable;
    private ulong _holeDirectory;

    /// <summary>A table that is not yet built.</summary>
    /// <param name="root">Frame of the L4 table.</param>
    /// <param name="linear">Linear address, at the start of an L4 slot.</param>
    internal SparseTable(ulong root, ulong linear)
    {
        this = default;
        _root = root;
        _linear = linear;
    }

    /// <summary>Makes and maps the table, all zeroes.</summary>
    /// <param name="memory">Page-aligned memory that entries are needed for.</param>
    /// <param name="entrySize">Bytes of an entry, a power of two.</param>
    /// <returns>False when memory is out.</returns>
    internal bool TryBuild(in MemoryRanges memory, ulong entrySize)
    {
        for (int i = 0; i < memory.Count; i++)
        {
            PhysicalRange entries = new(
                (memory[i].Start >> Cpu.PageShift) * entrySize, (memory[i].End >> Cpu.PageShift) * entrySize);
            if (!_needed.TryAdd(entries.TouchedPages()))
            {
                return false;
            }
        }

        if (!TryBuildHole())
        {
            return false;
        }

        ulong length = _needed.End;
        for (ulong offset = 0; offset < length; offset += PageFlags.HugeSize)
        {
            if (!TryBuildDirectory(offset))
            {
                return false;
            }
        }

        return true;
    }

    private bool TryBuildHole()
    {
        if (!BootFrames.TryTakeTable(out _hole))
        {
            return false;
        }

        ulong page = (_hole << Cpu.PageShift) | PageFlags.Constants;
        if (!BootFrames.TryTake(page, out _holeTable))
        {
            return false;
        }

        return BootFrames.TryTake((_holeTable << Cpu.PageShift) | PageFlags.Table, out _holeDirectory);
    }

    private readonly bool TryBuildDirectory(ulong offset)
    {
        ulong linear = _linear + offset;
        if (!PageTables.TryFindTable(_root, linear, 3, PageFlags.Table, out ulong table))
        {
            return false;
        }

        ref ulong entry = ref PhysicalMemory.FrameAs<ulong>(table)[PageFlags.Index(linear, 3)];
        if (!_needed.Overlaps(new PhysicalRange(offset, offset + PageFlags.HugeSize)))
        {
            entry = (_holeDirectory << Cpu.PageShift) | PageFlags.Table;
            return true;
        }

        if (!BootFrames.TryTake((_holeTable << Cpu.PageShift) | PageFlags.Table, out ulong directory))
        {
            return false;
        }

        entry = (directory << Cpu.PageShift) | PageFlags.Table;
        for (int i = 0; i < PageFlags.TableEntries; i++)
        {
            if (!TryBuildPart(directory, i, offset + (ulong)i * PageFlags.LargeSize))
            {
                return false;
            }
        }

        return true;
    }

    private readonly bool TryBuildPart(ulong directory, int index, ulong offset)
    {
        PhysicalRange part = new(offset, offset + PageFlags.LargeSize);
        if (!_needed.Overlaps(part))
        {
            return true;
        }

        ref ulong entry = ref PhysicalMemory.FrameAs<ulong>(directory)[index];
        if (_needed.Covers(part) && BootFrames.TryTakeLarge(out ulong large))
        {
            entry = (large << Cpu.PageShift) | PageFlags.Data | PageFlags.Large;
            return true;
        }

        if (!BootFrames.TryTake((_hole << Cpu.PageShift) | PageFlags.Constants, out ulong table))
        {
            return false;
        }

        entry = (table << Cpu.PageShift) | PageFlags.Table;
        Span<ulong> pages = PhysicalMemory.FrameAs<ulong>(table);
        for (int i = 0; i < pages.Length; i++)
        {
            ulong start = offset + (ulong)i * Cpu.PageSize;
            if (!_needed.Overlaps(new PhysicalRange(start, start + Cpu.PageSize)))
            {
                continue;
            }

            if (!BootFrames.TryTakeTable(out ulong frame))
            {
                return false;
            }

            pages[i] = (frame << Cpu.PageShift) | PageFlags.Data;
        }

        return true;
    }
}
