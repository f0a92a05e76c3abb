using System;

namespace Blanket.Core.Building;

/// <summary>Outcome of building a domain; <see cref="BuildStatusText.Describe"/> says it in words.</summary>
public enum BuildStatus : byte
{
    /// <summary>The domain is ready to run.</summary>
    Ok,

    /// <summary>Not done yet: to be gone on with.</summary>
    Unfinished,

    /// <summary>Not a 64-bit little-endian x86-64 ELF file.</summary>
    NotElf64,

    /// <summary>A header, segment or note that is not inside the file.</summary>
    BrokenElf,

    /// <summary>No segment to load.</summary>
    NothingToLoad,

    /// <summary>Neither Xen notes nor a __xen_guest section.</summary>
    NotXenKernel,

    /// <summary>Neither for the generic loader nor Linux.</summary>
    WrongLoader,

    /// <summary>XEN_VERSION is not xen-3.0.</summary>
    WrongXenVersion,

    /// <summary>The kernel requires a feature that is unknown, not supported by itself, or not there for a PV guest.</summary>
    RequiredFeature,

    /// <summary>The kernel's addresses contradict each other or are not a guest's.</summary>
    BadAddresses,

    /// <summary>The initial p2m list would overlap the kernel or is not at a guest's address.</summary>
    BadP2MAddress,

    /// <summary>The hypercall page is not inside the kernel.</summary>
    BadHypercallPage,

    /// <summary>The command line does not fit start_info.</summary>
    CommandLineTooLong,

    /// <summary>The domain's memory is too small for kernel, ramdisk and tables.</summary>
    MemoryTooSmall,

    /// <summary>More memory than a domain can have.</summary>
    MemoryTooLarge,

    /// <summary>The machine has too few free frames.</summary>
    OutOfMemory,

    /// <summary>The page tables that were built did not validate.</summary>
    PageTablesRefused,

    /// <summary>The first vCPU's context was refused.</summary>
    ContextRefused,
}

/// <summary>Words for <see cref="BuildStatus"/>.</summary>
public static class BuildStatusText
{
    /// <summary>A short description for the log.</summary>
    public static ReadOnlySpan<byte> Describe(BuildStatus status) => status switch
    {
        BuildStatus.Ok => "ok"u8,
        BuildStatus.NotElf64 => "the kernel is not a 64-bit x86 ELF file"u8,
        BuildStatus.BrokenElf => "the kernel's ELF headers point outside the file"u8,
        BuildStatus.NothingToLoad => "the kernel has no segment to load"u8,
        BuildStatus.NotXenKernel => "the kernel has no Xen notes: it is not a PV kernel"u8,
        BuildStatus.WrongLoader => "the kernel is neither for the generic loader nor Linux"u8,
        BuildStatus.WrongXenVersion => "the kernel is not for xen-3.0"u8,
        BuildStatus.RequiredFeature => "the kernel requires a feature that a PV guest does not have"u8,
        BuildStatus.BadAddresses => "the kernel's addresses are out of bounds"u8,
        BuildStatus.BadP2MAddress => "the kernel's p2m address is out of bounds"u8,
        BuildStatus.BadHypercallPage => "the hypercall page is not inside the kernel"u8,
        BuildStatus.CommandLineTooLong => "the command line is longer than 1023 bytes"u8,
        BuildStatus.MemoryTooSmall => "the guest's memory is too small for its kernel and ramdisk"u8,
        BuildStatus.MemoryTooLarge => "the guest's memory is larger than 512 GiB"u8,
        BuildStatus.OutOfMemory => "not enough free memory"u8,
        BuildStatus.PageTablesRefused => "the initial page tables did not validate"u8,
        BuildStatus.ContextRefused => "the first vCPU's context was refused"u8,
        _ => "unknown status"u8,
    };
}
