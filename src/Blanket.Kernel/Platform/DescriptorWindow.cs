using System.Runtime.CompilerServices;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// Every CPU's own 32 pages at <see cref="AddressSpace.DescriptorTablesBase"/>, where its GDT and LDT are seen: guest frames and
/// the hypervisor's part. A page that has no frame reads as zeroes: null descriptors.
/// </summary>
public static class DescriptorWindow
{
    /// <summary>Pages of a CPU.</summary>
    public const int PagesPerCpu = 32;

    private const int CpusPerTable = PageFlags.TableEntries / PagesPerCpu;
    private const int Tables = Cpu.MaximumCpus / CpusPerTable;

    [InlineArray(Tables)]
    private struct TableFrames
    {
        private ulong _first;
    }

    private static TableFrames s_tables;
    private static ulong s_emptyFrame;

    /// <summary>Makes the windows of so many CPUs, all pages empty; once at boot.</summary>
    /// <returns>False when memory is out.</returns>
    internal static bool TryInitialize(ulong root, int cpus)
    {
        if (!BootFrames.TryTakeTable(out s_emptyFrame))
        {
            return false;
        }

        for (int table = 0; table * CpusPerTable < cpus; table++)
        {
            ulong linear = AddressSpace.DescriptorTablesBase + ((ulong)(table * PageFlags.TableEntries) << Cpu.PageShift);
            if (!PageTables.TryFindTable(root, linear, 1, PageFlags.Table, out s_tables[table]))
            {
                return false;
            }

            PhysicalMemory.FrameAs<ulong>(s_tables[table]).Fill((s_emptyFrame << Cpu.PageShift) | PageFlags.Constants);
        }

        return true;
    }

    /// <summary>
    /// Shows a frame in a page of a CPU's window. The CPU itself sees it at once; for another CPU this is only for a window that it
    /// does not yet use.
    /// </summary>
    /// <param name="cpu">CPU number.</param>
    /// <param name="pageIndex">0 to 31: GDT pages, then LDT pages from 16 (CpuSetup).</param>
    /// <param name="frame">The frame.</param>
    /// <param name="writable">The CPU may set accessed and busy bits in it. Guests' descriptors have theirs set beforehand.</param>
    public static void Map(int cpu, int pageIndex, ulong frame, bool writable) =>
        Set(cpu, pageIndex, (frame << Cpu.PageShift) | (writable ? PageFlags.Data : PageFlags.Constants));

    /// <summary>Makes a page of a CPU's window empty.</summary>
    public static void Clear(int cpu, int pageIndex) => Set(cpu, pageIndex, (s_emptyFrame << Cpu.PageShift) | PageFlags.Constants);

    /// <summary>Makes a page of a CPU's window fault: its frame is mapped on demand.</summary>
    public static void Unmap(int cpu, int pageIndex) => Set(cpu, pageIndex, 0);

    private static void Set(int cpu, int pageIndex, ulong entry)
    {
        Check.That((uint)cpu < Cpu.MaximumCpus && (uint)pageIndex < PagesPerCpu);
        int page = cpu % CpusPerTable * PagesPerCpu + pageIndex;
        PhysicalMemory.FrameAs<ulong>(s_tables[cpu / CpusPerTable])[page] = entry;
        if (cpu == Cpu.Number)
        {
            Cpu.InvalidatePage(AddressSpace.DescriptorTablesBase + ((ulong)(cpu * PagesPerCpu + pageIndex) << Cpu.PageShift));
        }
    }
}
