using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct mmu_update, one request of HYPERVISOR_mmu_update (xen/include/public/xen.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MmuUpdate
{
    /// <summary>Mask of the command in <see cref="Pointer"/>.</summary>
    public const ulong CommandMask = 7;

    /// <summary>MMU_NORMAL_PT_UPDATE: checked write of a page-table entry.</summary>
    public const ulong Normal = 0;

    /// <summary>MMU_MACHPHYS_UPDATE: set the pseudo-physical frame of a machine frame.</summary>
    public const ulong MachineToPhysical = 1;

    /// <summary>MMU_PT_UPDATE_PRESERVE_AD: as normal, and the accessed and dirty bits of the old entry are kept.</summary>
    public const ulong PreserveAccessedDirty = 2;

    /// <summary>MMU_PT_UPDATE_NO_TRANSLATE: as normal, without translating a foreign frame number.</summary>
    public const ulong NoTranslate = 3;

    /// <summary>Machine address of the entry; the command in its lowest bits.</summary>
    public ulong Pointer;

    /// <summary>New contents of the entry.</summary>
    public ulong Value;
}
