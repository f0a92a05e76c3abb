using System;

namespace Blanket.Machine;

/// <summary>
/// The root page table that holds the hypervisor's mappings and nothing else: what a CPU uses while no guest's tables are
/// loaded, and the pattern for the hypervisor's slots in every guest's root.
/// </summary>
public static class HypervisorRoot
{
    /// <summary>L4 slots of the hypervisor.</summary>
    public const int SlotCount = AddressSpace.EndHypervisorSlot - AddressSpace.FirstHypervisorSlot;

    private static ulong s_frame;

    /// <summary>Frame of the root table.</summary>
    public static ulong Frame => s_frame;

    /// <summary>CR3 value of the root table.</summary>
    public static ulong Cr3 => s_frame << Cpu.PageShift;

    /// <summary>
    /// The L4 entries 256 to 271, to be copied into every guest's root table. They never change after boot: what the
    /// hypervisor maps later goes into tables below them.
    /// </summary>
    public static ReadOnlySpan<ulong> Slots =>
        PhysicalMemory.FrameAs<ulong>(s_frame).Slice(AddressSpace.FirstHypervisorSlot, SlotCount);

    /// <summary>Tells where the finished root table is; once at boot.</summary>
    public static void Initialize(ulong frame) => s_frame = frame;
}
