namespace Blanket.Abi.Xen.Io;

/// <summary>Request codes of io/blkif.h.</summary>
public enum BlkifOperation : byte
{
    /// <summary>BLKIF_OP_READ.</summary>
    Read = 0,

    /// <summary>BLKIF_OP_WRITE.</summary>
    Write = 1,

    /// <summary>BLKIF_OP_WRITE_BARRIER: after all earlier writes, before all later ones.</summary>
    WriteBarrier = 2,

    /// <summary>BLKIF_OP_FLUSH_DISKCACHE.</summary>
    FlushDiskCache = 3,

    /// <summary>BLKIF_OP_DISCARD.</summary>
    Discard = 5,

    /// <summary>BLKIF_OP_INDIRECT: a read or write whose segments are in pages of their own.</summary>
    Indirect = 6,
}

/// <summary>Status codes of io/blkif.h.</summary>
public enum BlkifStatus : short
{
    /// <summary>BLKIF_RSP_OKAY.</summary>
    Okay = 0,

    /// <summary>BLKIF_RSP_ERROR.</summary>
    Error = -1,

    /// <summary>BLKIF_RSP_EOPNOTSUPP.</summary>
    NotSupported = -2,
}

/// <summary>Numbers of io/blkif.h that do not depend on the ABI.</summary>
public static class Blkif
{
    /// <summary>BLKIF_MAX_SEGMENTS_PER_REQUEST: segments in the request itself.</summary>
    public const int MaximumSegments = 11;

    /// <summary>BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST.</summary>
    public const int MaximumIndirectPages = 8;

    /// <summary>sizeof(struct blkif_request_segment): gref, first_sect, last_sect, padding.</summary>
    public const int SegmentSize = 8;

    /// <summary>Segments in one page of indirect segments.</summary>
    public const int SegmentsPerIndirectPage = 4096 / SegmentSize;

    /// <summary>Offset of <c>gref</c> in a segment.</summary>
    public const int SegmentReference = 0;

    /// <summary>Offset of <c>first_sect</c> in a segment.</summary>
    public const int SegmentFirst = 4;

    /// <summary>Offset of <c>last_sect</c> (inclusive) in a segment.</summary>
    public const int SegmentLast = 5;

    /// <summary>BLKIF_DISCARD_SECURE.</summary>
    public const byte DiscardSecure = 1;

    /// <summary>VDISK_CDROM in the node "info".</summary>
    public const uint InfoCdrom = 1;

    /// <summary>VDISK_REMOVABLE in the node "info".</summary>
    public const uint InfoRemovable = 2;

    /// <summary>VDISK_READONLY in the node "info".</summary>
    public const uint InfoReadOnly = 4;

    /// <summary>The largest of both ABIs' ring entries.</summary>
    public const int MaximumEntrySize = 112;
}

/// <summary>
/// Offsets in the requests and responses of io/blkif.h. The 32-bit ABI aligns 64-bit members to 4 bytes, so everything
/// behind the first 4 bytes is elsewhere.
/// </summary>
public readonly struct BlkifLayout
{
    /// <summary>Offset of <c>operation</c> in every request.</summary>
    public const int Operation = 0;

    /// <summary>Offset of <c>nr_segments</c> (8 bits) in struct blkif_request.</summary>
    public const int SegmentCount = 1;

    /// <summary>Offset of <c>flag</c> in struct blkif_request_discard.</summary>
    public const int DiscardFlag = 1;

    /// <summary>Offset of <c>indirect_op</c> in struct blkif_request_indirect.</summary>
    public const int IndirectOperation = 1;

    /// <summary>Offset of <c>nr_segments</c> (16 bits) in struct blkif_request_indirect.</summary>
    public const int IndirectSegmentCount = 2;

    private readonly bool _is32;

    private BlkifLayout(bool is32) => _is32 = is32;

    /// <summary>The layout of "x86_64-abi".</summary>
    public static BlkifLayout Bits64 => new(false);

    /// <summary>The layout of "x86_32-abi".</summary>
    public static BlkifLayout Bits32 => new(true);

    /// <summary>Bytes of a ring entry.</summary>
    public int EntrySize => _is32 ? 108 : 112;

    /// <summary>Offset of <c>id</c> in every request.</summary>
    public int Id => _is32 ? 4 : 8;

    /// <summary>Offset of <c>sector_number</c> in every request.</summary>
    public int Sector => _is32 ? 12 : 16;

    /// <summary>Offset of <c>seg</c> in struct blkif_request.</summary>
    public int Segments => _is32 ? 20 : 24;

    /// <summary>Offset of <c>nr_sectors</c> in struct blkif_request_discard.</summary>
    public int DiscardSectors => _is32 ? 20 : 24;

    /// <summary>Offset of <c>indirect_grefs</c> in struct blkif_request_indirect.</summary>
    public int IndirectReferences => _is32 ? 24 : 28;

    /// <summary>Bytes of a response: id, operation, padding, status.</summary>
    public int ResponseSize => _is32 ? 12 : 16;

    /// <summary>Offset of <c>id</c> in a response.</summary>
    public const int ResponseId = 0;

    /// <summary>Offset of <c>operation</c> in a response.</summary>
    public const int ResponseOperation = 8;

    /// <summary>Offset of <c>status</c> in a response.</summary>
    public const int ResponseStatus = 10;
}
