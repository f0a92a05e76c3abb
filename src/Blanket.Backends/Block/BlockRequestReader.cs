using System;
using System.Buffers.Binary;
using Blanket.Abi.Xen.Io;

namespace Blanket.Backends;

/// <summary>A request as it was copied from the ring, in either ABI. Nothing is checked here.</summary>
internal readonly ref struct BlockRequestReader(ReadOnlySpan<byte> entry, BlkifLayout layout)
{
    private readonly ReadOnlySpan<byte> _entry = entry;
    private readonly BlkifLayout _layout = layout;

    /// <summary>BLKIF_OP_*; any value.</summary>
    internal BlkifOperation Operation => (BlkifOperation)_entry[BlkifLayout.Operation];

    /// <summary>The guest's name for the request.</summary>
    internal ulong Id => BinaryPrimitives.ReadUInt64LittleEndian(_entry.Slice(_layout.Id));

    /// <summary>First sector.</summary>
    internal ulong Sector => BinaryPrimitives.ReadUInt64LittleEndian(_entry.Slice(_layout.Sector));

    /// <summary>Segments in the request.</summary>
    internal int SegmentCount => _entry[BlkifLayout.SegmentCount];

    /// <summary>The segments in the request.</summary>
    internal ReadOnlySpan<byte> Segments => _entry.Slice(_layout.Segments, Blkif.MaximumSegments * Blkif.SegmentSize);

    /// <summary>The operation of an indirect request; any value.</summary>
    internal BlkifOperation IndirectOperation => (BlkifOperation)_entry[BlkifLayout.IndirectOperation];

    /// <summary>Segments of an indirect request.</summary>
    internal int IndirectSegmentCount => BinaryPrimitives.ReadUInt16LittleEndian(_entry.Slice(BlkifLayout.IndirectSegmentCount));

    /// <summary>Flags of a discard.</summary>
    internal byte DiscardFlags => _entry[BlkifLayout.DiscardFlag];

    /// <summary>Sectors of a discard.</summary>
    internal ulong DiscardSectors => BinaryPrimitives.ReadUInt64LittleEndian(_entry.Slice(_layout.DiscardSectors));

    /// <summary>Grant of a page of indirect segments.</summary>
    internal uint IndirectReference(int page) =>
        BinaryPrimitives.ReadUInt32LittleEndian(_entry.Slice(_layout.IndirectReferences + page * sizeof(uint)));
}
