namespace Blanket.Core.Building;

/// <summary>What a PV kernel says about itself in its Xen notes (elfnote.h) or its __xen_guest section.</summary>
public struct KernelParameters
{
    /// <summary>Value of an address that the kernel did not give.</summary>
    public const ulong Unset = ulong.MaxValue;

    /// <summary>VIRT_BASE: linear address of pseudo-physical address 0 in the initial mapping.</summary>
    public ulong VirtualBase;

    /// <summary>PADDR_OFFSET: what the ELF file's physical addresses are too large by.</summary>
    public ulong PhysicalOffset;

    /// <summary>ENTRY: linear address of the first instruction.</summary>
    public ulong Entry;

    /// <summary>HYPERCALL_PAGE: linear address of the page to fill with hypercall stubs.</summary>
    public ulong HypercallPage;

    /// <summary>HV_START_LOW: lowest address at which the hypervisor's hole may begin.</summary>
    public ulong HypervisorStartLow;

    /// <summary>INIT_P2M: linear address at which the p2m list is wanted.</summary>
    public ulong InitialP2M;

    /// <summary>MOD_START_PFN: the ramdisk need not be mapped.</summary>
    public bool TakesUnmappedRamdisk;

    /// <summary>BSD_SYMTAB: the symbol table is to be loaded behind the kernel.</summary>
    public bool WantsSymbols;

    /// <summary>LOADER=generic or GUEST_OS=linux.</summary>
    public readonly bool IsForLoader => IsGeneric || IsLinux;

    /// <summary>LOADER starts with "generic".</summary>
    public bool IsGeneric;

    /// <summary>GUEST_OS starts with "linux".</summary>
    public bool IsLinux;

    /// <summary>XEN_VERSION starts with "xen-3.0".</summary>
    public bool IsForXen30;

    /// <summary>Came from the legacy section: PADDR_OFFSET defaults to VIRT_BASE.</summary>
    public bool IsLegacy;

    /// <summary>Feature bits (features.h) that it can use.</summary>
    public uint SupportedFeatures;

    /// <summary>Feature bits that it cannot do without.</summary>
    public uint RequiredFeatures;

    /// <summary>It requires a feature without a known name.</summary>
    public bool RequiresUnknownFeature;

    /// <summary>First linear address of the kernel image.</summary>
    public ulong KernelStart;

    /// <summary>First linear address behind the kernel image, its zeroed data and its symbols.</summary>
    public ulong KernelEnd;

    /// <summary>Linear address minus physical address of the ELF file, modulo 2^64.</summary>
    public ulong VirtualOffset;

    /// <summary>Nothing said yet.</summary>
    public static KernelParameters Create() => new()
    {
        VirtualBase = Unset,
        PhysicalOffset = Unset,
        Entry = Unset,
        HypercallPage = Unset,
        HypervisorStartLow = Unset,
        InitialP2M = Unset,
    };
}
