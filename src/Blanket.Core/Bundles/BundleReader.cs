using System;
using System.Runtime.InteropServices;
using Blanket.Abi;

namespace Blanket.Core.Bundles;

/// <summary>
/// A checked view of a boot bundle in memory. <see cref="Open"/> checks the whole metadata once; what the members return
/// afterwards is within the ranges that the record types state. Blobs are compared with their checksums (<see cref="BlobChecksum"/>) by who
/// uses them, because that reads the whole blob. The memory must not change while the reader is in use.
/// </summary>
public readonly ref struct BundleReader
{
    private readonly ReadOnlySpan<byte> _bundle;
    private readonly BootBundleHeader _header;

    internal BundleReader(ReadOnlySpan<byte> bundle, scoped in BootBundleHeader header)
    {
        _bundle = bundle;
        _header = header;
    }

    /// <summary>Number of guests.</summary>
    public int GuestCount => (int)_header.Guests.Count;

    /// <summary>Number of bridges.</summary>
    public int BridgeCount => (int)_header.Bridges.Count;

    /// <summary>Size in bytes that the bundle occupies, a multiple of <see cref="BootBundle.Alignment"/>.</summary>
    public ulong TotalSize => _header.TotalSize;

    /// <summary>Checks a bundle; bytes behind its end are ignored.</summary>
    /// <returns><see cref="BundleStatus.Ok"/> and a reader, or what is wrong and an empty reader.</returns>
    public static BundleStatus Open(ReadOnlySpan<byte> image, out BundleReader reader)
    {
        reader = default;
        BundleStatus status = BundleValidation.ReadHeader(image, out BootBundleHeader header);
        if (status != BundleStatus.Ok)
        {
            return status;
        }

        BundleReader candidate = new(image.Slice(0, (int)header.TotalSize), header);
        status = BundleValidation.CheckRecords(candidate, header);
        if (status == BundleStatus.Ok)
        {
            reader = candidate;
        }

        return status;
    }

    /// <summary>A guest, 0 to <see cref="GuestCount"/> - 1.</summary>
    public BootBundleGuest Guest(int index) => Record<BootBundleGuest>(_header.Guests, index);

    /// <summary>A disk; a guest's are numbered from its FirstDisk.</summary>
    public BootBundleDisk Disk(int index) => Record<BootBundleDisk>(_header.Disks, index);

    /// <summary>A vif; a guest's are numbered from its FirstVif.</summary>
    public BootBundleVif Vif(int index) => Record<BootBundleVif>(_header.Vifs, index);

    /// <summary>A bridge, 0 to <see cref="BridgeCount"/> - 1.</summary>
    public BootBundleBridge Bridge(int index) => Record<BootBundleBridge>(_header.Bridges, index);

    /// <summary>An affinity mask; a guest's are numbered from its FirstAffinity.</summary>
    public BootBundleAffinity Affinity(int index) => Record<BootBundleAffinity>(_header.Affinities, index);

    /// <summary>Where a blob is; offsets count from the first byte of the bundle. Nothing for <see cref="BootBundle.None"/>.</summary>
    public BootBundleBlob Blob(uint index) => index == BootBundle.None ? default : Record<BootBundleBlob>(_header.Blobs, (int)index);

    /// <summary>The bytes of a blob, not compared with its checksum; empty for <see cref="BootBundle.None"/>.</summary>
    public ReadOnlySpan<byte> Content(uint index)
    {
        BootBundleBlob blob = Blob(index);
        return _bundle.Slice((int)blob.Offset, (int)blob.Length);
    }

    /// <summary>The global options text, without NUL; empty when there is none. Not compared with its checksum.</summary>
    public ReadOnlySpan<byte> Options => Content(_header.Options);

    /// <summary>The <paramref name="index"/>th record of a table that is known to be inside the bundle.</summary>
    internal T Record<T>(BootBundleTable table, int index)
        where T : struct
    {
        // An index past the table would still be inside the metadata most of the time: refuse it here, by the span's own check.
        int size = BundleValidation.SizeOf<T>();
        ReadOnlySpan<byte> records = _bundle.Slice((int)table.Offset, (int)table.Count * size);
        return MemoryMarshal.Read<T>(records.Slice(index * size, size));
    }
}
