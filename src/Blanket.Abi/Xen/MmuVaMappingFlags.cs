namespace Blanket.Abi.Xen;

/// <summary>UVMF_*: TLB maintenance of HYPERVISOR_update_va_mapping (xen/include/public/xen.h).</summary>
public static class MmuVaMappingFlags
{
    /// <summary>UVMF_TLB_FLUSH: flush the whole TLB.</summary>
    public const ulong TlbFlush = 1;

    /// <summary>UVMF_INVLPG: flush one page.</summary>
    public const ulong InvalidatePage = 2;

    /// <summary>UVMF_FLUSHTYPE_MASK.</summary>
    public const ulong FlushTypeMask = 3;

    /// <summary>UVMF_LOCAL, as what is left without the flush type; another value than these two is a pointer to a mask of vCPUs.</summary>
    public const ulong Local = 0;

    /// <summary>UVMF_ALL.</summary>
    public const ulong All = 4;
}
