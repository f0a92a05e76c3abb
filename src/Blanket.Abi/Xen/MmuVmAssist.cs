namespace Blanket.Abi.Xen;

/// <summary>HYPERVISOR_vm_assist (xen/include/public/xen.h).</summary>
public static class MmuVmAssist
{
    /// <summary>VMASST_CMD_enable.</summary>
    public const uint Enable = 0;

    /// <summary>VMASST_CMD_disable.</summary>
    public const uint Disable = 1;

    /// <summary>VMASST_TYPE_4gb_segments.</summary>
    public const int FourGigabyteSegments = 0;

    /// <summary>VMASST_TYPE_4gb_segments_notify.</summary>
    public const int FourGigabyteSegmentsNotify = 1;

    /// <summary>VMASST_TYPE_writable_pagetables.</summary>
    public const int WritablePageTables = 2;

    /// <summary>VMASST_TYPE_pae_extended_cr3.</summary>
    public const int PaeExtendedCr3 = 3;

    /// <summary>VMASST_TYPE_architectural_iopl.</summary>
    public const int ArchitecturalIopl = 4;

    /// <summary>VMASST_TYPE_runstate_update_flag.</summary>
    public const int RunstateUpdateFlag = 5;

    /// <summary>VMASST_TYPE_m2p_strict.</summary>
    public const int StrictMachineToPhysical = 32;
}
