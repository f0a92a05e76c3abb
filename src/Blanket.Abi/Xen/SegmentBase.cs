namespace Blanket.Abi.Xen;

/// <summary>SEGBASE_* of HYPERVISOR_set_segment_base (xen/include/public/arch-x86/xen-x86_64.h).</summary>
public static class SegmentBase
{
    public const uint Fs = 0;

    /// <summary>GS base of guest user mode.</summary>
    public const uint GsUser = 1;

    /// <summary>GS base of guest kernel mode.</summary>
    public const uint GsKernel = 2;

    /// <summary>Loads the GS selector of guest user mode; its base comes from the descriptor.</summary>
    public const uint GsUserSelector = 3;
}
