using System.Runtime.InteropServices;

namespace Blanket.Abi;

/// <summary>First record of a boot bundle, at offset 0.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleHeader
{
    /// <summary><see cref="BootBundle.Magic"/>.</summary>
    public ulong Magic;

    /// <summary><see cref="BootBundle.Version"/>.</summary>
    public uint Version;

    /// <summary>Size in bytes of this record.</summary>
    public uint HeaderSize;

    /// <summary>Size in bytes of the bundle, padding of the last blob included; a boot loader may add bytes behind it.</summary>
    public ulong TotalSize;

    /// <summary>Size in bytes of header and tables, a multiple of <see cref="BootBundle.Alignment"/>; the first blob starts here.</summary>
    public ulong MetadataSize;

    /// <summary>CRC-32C (RFC 3720, appendix B.4) of the metadata region with this field as zero. Blobs carry checksums of their own.</summary>
    public uint MetadataChecksum;

    /// <summary>Blob index of the global options text, or <see cref="BootBundle.None"/>.</summary>
    public uint Options;

    /// <summary>Records of type <see cref="BootBundleBlob"/>.</summary>
    public BootBundleTable Blobs;

    /// <summary>Records of type <see cref="BootBundleGuest"/>.</summary>
    public BootBundleTable Guests;

    /// <summary>Records of type <see cref="BootBundleDisk"/>.</summary>
    public BootBundleTable Disks;

    /// <summary>Records of type <see cref="BootBundleVif"/>.</summary>
    public BootBundleTable Vifs;

    /// <summary>Records of type <see cref="BootBundleBridge"/>.</summary>
    public BootBundleTable Bridges;

    /// <summary>Records of type <see cref="BootBundleAffinity"/>.</summary>
    public BootBundleTable Affinities;
}

/// <summary>Where a table of records is.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleTable
{
    /// <summary>Offset in bytes from the start of the bundle, a multiple of 8, inside the metadata region.</summary>
    public uint Offset;

    /// <summary>Number of records.</summary>
    public uint Count;
}

/// <summary>Where a blob is and how to tell that it is whole.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleBlob
{
    /// <summary>Offset in bytes from the start of the bundle, a multiple of <see cref="BootBundle.Alignment"/>.</summary>
    public ulong Offset;

    /// <summary>Length in bytes, at least 1; the rest of the last page is zero.</summary>
    public ulong Length;

    /// <summary>Checksum of the content: sum and sum of sums of its little-endian 64-bit words (BundleChecksum.OfBlob).</summary>
    public ulong Checksum;
}
