using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>The hypervisor's entries, slots 256-271, of every validated root table.</summary>
public static class HypervisorSlots
{
    private const int Count = AddressSpace.EndHypervisorSlot - AddressSpace.FirstHypervisorSlot;

    // The machine-to-physical table's slot, the only one that guests can read through (MACH2PHYS_VIRT_START).
    private const int MachineToPhysicalSlot = AddressSpace.FirstHypervisorSlot;

    private static ulong[]? s_entries;

    /// <summary>Tells the entries; once at boot, in an allocation scope.</summary>
    /// <param name="l4Entries">The 16 entries of slots 256-271.</param>
    public static void Initialize(ReadOnlySpan<ulong> l4Entries)
    {
        Check.That(l4Entries.Length == Count);
        s_entries = new ulong[Count];
        l4Entries.CopyTo(s_entries);
    }

    /// <summary>Whether an L4 slot is the hypervisor's.</summary>
    public static bool Contains(int slot) => unchecked((uint)(slot - AddressSpace.FirstHypervisorSlot)) < Count;

    /// <summary>
    /// Fills the slots of a root table that is about to be used. The machine-to-physical slot is filled at once only for
    /// domains with VMASST_TYPE_m2p_strict; for others when the table is used as a kernel's (xen/include/public/xen.h).
    /// </summary>
    internal static void Fill(ulong rootFrame, Domain domain)
    {
        Span<ulong> table = PhysicalMemory.FrameAs<ulong>(rootFrame);
        Span<ulong> own = table.Slice(AddressSpace.FirstHypervisorSlot, Count);
        s_entries.AsSpan().CopyTo(own);
        if (!domain.HasVmAssist(MmuVmAssist.StrictMachineToPhysical))
        {
            own[0] = 0;
        }
    }

    /// <summary>Clears the slots of a root table that is no longer one: guests must not read them.</summary>
    internal static void Clear(ulong rootFrame) =>
        PhysicalMemory.FrameAs<ulong>(rootFrame).Slice(AddressSpace.FirstHypervisorSlot, Count).Clear();

    /// <summary>Maps the machine-to-physical table in a root table that a guest kernel uses.</summary>
    internal static void ShowMachineToPhysical(ulong rootFrame) =>
        PhysicalMemory.FrameAs<ulong>(rootFrame)[MachineToPhysicalSlot] = s_entries![0];

    /// <summary>Hides the machine-to-physical table in a root table that a guest user uses.</summary>
    internal static void HideMachineToPhysical(ulong rootFrame) =>
        PhysicalMemory.FrameAs<ulong>(rootFrame)[MachineToPhysicalSlot] = 0;

    /// <summary>Whether an entry of a validated root table is what belongs in one of the slots.</summary>
    internal static bool IsRight(int slot, ulong entry)
    {
        // The CPU sets accessed bits.
        ulong expected = s_entries![slot - AddressSpace.FirstHypervisorSlot];
        return ((entry ^ expected) & ~PageTableEntry.Accessed) == 0 || (slot == MachineToPhysicalSlot && entry == 0);
    }
}
