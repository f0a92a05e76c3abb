using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// The machine-to-physical table: for every machine frame the pseudo-physical frame that its owner knows it by.
/// Guests read it at MACH2PHYS_VIRT_START; nothing of the hypervisor depends on its contents.
/// </summary>
public static class MachineToPhysical
{
    /// <summary>INVALID_M2P_ENTRY: no pseudo-physical frame.</summary>
    public const ulong Invalid = ulong.MaxValue;

    /// <summary>Bytes of an entry.</summary>
    public const int EntrySize = 8;

    private static ulong s_physical;
    private static ulong s_entries;

    /// <summary>First physical address of the table.</summary>
    public static ulong PhysicalAddress => s_physical;

    /// <summary>Frames that have an entry.</summary>
    public static ulong Entries => s_entries;

    /// <summary>Uses memory at a physical address for the table and fills it with <see cref="Invalid"/>.</summary>
    /// <param name="physical">Where it begins; a multiple of 2 MiB, contiguous.</param>
    /// <param name="entries">Frames that it covers, <see cref="FrameTable.Limit"/>.</param>
    public static void Initialize(ulong physical, ulong entries)
    {
        s_physical = physical;
        s_entries = entries;
        for (ulong frame = 0; frame < entries; frame++)
        {
            PhysicalMemory.At<ulong>(physical + frame * EntrySize) = Invalid;
        }
    }

    /// <summary>Tells which pseudo-physical frame a machine frame is.</summary>
    public static void Set(ulong machineFrame, ulong physicalFrame)
    {
        if (machineFrame < s_entries)
        {
            Volatile.Write(ref PhysicalMemory.At<ulong>(s_physical + machineFrame * EntrySize), physicalFrame);
        }
    }

    /// <summary>The pseudo-physical frame of a machine frame, as its owner said; <see cref="Invalid"/> for none.</summary>
    public static ulong Get(ulong machineFrame) =>
        machineFrame < s_entries
            ? Volatile.Read(ref PhysicalMemory.At<ulong>(s_physical + machineFrame * EntrySize))
            : Invalid;
}
