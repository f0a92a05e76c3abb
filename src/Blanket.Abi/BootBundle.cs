namespace Blanket.Abi;

/// <summary>
/// The boot bundle: the one file that brings guests to the hypervisor, handed over by the boot protocol as its only module.
/// </summary>
/// <remarks>
/// Little-endian throughout. A metadata region comes first: the <see cref="BootBundleHeader"/> at offset 0 and six tables
/// of fixed-size records. The blobs (kernels, ramdisks, command lines, options) follow, each on a page boundary, in the
/// order of the blob table, with no two overlapping; guests may share a blob. Records of one guest stand together:
/// guest 0's disks are the first of the disk table, guest 1's come next, and so on; the same for vifs and affinities.
/// Unused bytes and reserved fields are zero. Text is ASCII or UTF-8; text fields of fixed size end in at least one NUL.
/// </remarks>
public static class BootBundle
{
    /// <summary>First eight bytes of a bundle: the ASCII text <c>BLANKETB</c>.</summary>
    public const ulong Magic = 0x4254454B4E414C42;

    /// <summary>Version of this layout; a reader accepts exactly its own.</summary>
    public const uint Version = 3;

    /// <summary>Alignment in bytes of the end of the metadata and of every blob.</summary>
    public const int Alignment = 4096;

    /// <summary>Largest bundle in bytes; keeps every offset within a span's index range.</summary>
    public const ulong MaximumSize = 0x7FFFF000;

    /// <summary>Index that means 'none' where a record refers to an optional other record.</summary>
    public const uint None = 0xFFFFFFFF;

    /// <summary>Most guests in a bundle.</summary>
    public const int MaximumGuests = 128;

    /// <summary>Most disks of all guests together.</summary>
    public const int MaximumDisks = 1024;

    /// <summary>Most vifs of all guests together.</summary>
    public const int MaximumVifs = 1024;

    /// <summary>Most bridges.</summary>
    public const int MaximumBridges = 64;

    /// <summary>Most affinity masks of all guests together.</summary>
    public const int MaximumAffinities = 4096;

    /// <summary>Most blobs.</summary>
    public const int MaximumBlobs = 512;

    /// <summary>Most virtual CPUs of one guest; those past XEN_LEGACY_MAX_VCPUS need VCPUOP_register_vcpu_info (arch-x86/xen.h, vcpu.h).</summary>
    public const uint MaximumVcpus = 128;

    /// <summary>Longest guest command line in bytes: MAX_GUEST_CMDLINE less its NUL (xen.h, start_info.cmd_line).</summary>
    public const int MaximumCommandLine = 1023;

    /// <summary>Longest text of global options in bytes.</summary>
    public const int MaximumOptions = 4095;

    /// <summary>Scheduler weight of a guest that sets none (sched credit2, domctl.h).</summary>
    public const uint DefaultWeight = 256;

    /// <summary>Largest scheduler weight.</summary>
    public const uint MaximumWeight = 65535;

    /// <summary><see cref="BootBundleDisk.Flags"/>: the guest must not write.</summary>
    public const uint DiskReadOnly = 1;

    /// <summary><see cref="BootBundleDisk.Flags"/>: discard is not offered to the guest, even if L0's disk can.</summary>
    public const uint DiskNoDiscard = 2;

    /// <summary><see cref="BootBundleAddress.Family"/>: an IPv4 address in the first four bytes.</summary>
    public const byte AddressIPv4 = 4;

    /// <summary><see cref="BootBundleAddress.Family"/>: an IPv6 address.</summary>
    public const byte AddressIPv6 = 6;
}
