namespace Blanket.Abi.Xen;

/// <summary>
/// struct shared_info, one page that a domain and the hypervisor share (xen/include/public/xen.h), 64-bit layout. Both sides
/// change it at any time, so it is described by offsets for single accesses and not by a structure to copy.
/// </summary>
public static class SharedInfo
{
    /// <summary>XEN_LEGACY_MAX_VCPUS: vCPUs that have a vcpu_info here; others must register one of their own.</summary>
    public const int LegacyVcpus = 32;

    /// <summary>Offset of vcpu_info[0].</summary>
    public const int VcpuInfoOffset = 0;

    /// <summary>Offset of evtchn_pending: 64 words of 64 bits.</summary>
    public const int EventPendingOffset = 0x800;

    /// <summary>Offset of evtchn_mask: 64 words of 64 bits.</summary>
    public const int EventMaskOffset = 0xa00;

    /// <summary>Offset of wc_version (32 bits), odd while the wall clock is being updated.</summary>
    public const int WallClockVersionOffset = 0xc00;

    /// <summary>Offset of wc_sec (32 bits): wall clock at boot, low seconds since 1970.</summary>
    public const int WallClockSecondsOffset = 0xc04;

    /// <summary>Offset of wc_nsec (32 bits).</summary>
    public const int WallClockNanosecondsOffset = 0xc08;

    /// <summary>Offset of wc_sec_hi (32 bits).</summary>
    public const int WallClockSecondsHighOffset = 0xc0c;

    /// <summary>Offset of arch.max_pfn (64 bits): entries of the guest's p2m.</summary>
    public const int MaximumPfnOffset = 0xc10;

    /// <summary>Offset of arch.pfn_to_mfn_frame_list_list (64 bits).</summary>
    public const int FrameListListOffset = 0xc18;

    /// <summary>Offset of arch.nmi_reason (64 bits).</summary>
    public const int NmiReasonOffset = 0xc20;

    /// <summary>Offset of arch.p2m_cr3 (64 bits).</summary>
    public const int P2MRootOffset = 0xc28;

    /// <summary>Offset of arch.p2m_vaddr (64 bits).</summary>
    public const int P2MAddressOffset = 0xc30;

    /// <summary>Offset of arch.p2m_generation (64 bits).</summary>
    public const int P2MGenerationOffset = 0xc38;

    /// <summary>Size in bytes.</summary>
    public const int Size = 0xc40;
}
