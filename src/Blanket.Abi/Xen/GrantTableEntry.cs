namespace Blanket.Abi.Xen;

/// <summary>
/// Grant table entries (xen/include/public/grant_table.h): offsets, since both sides change them at any time. Every entry begins
/// with 16 bits of flags and the 16-bit id of the domain that may use it.
/// </summary>
public static class GrantTableEntry
{
    /// <summary>Size of struct grant_entry_v1: flags, domid, 32-bit frame.</summary>
    public const int SizeV1 = 8;

    /// <summary>Offset of frame.</summary>
    public const int FrameOffsetV1 = 4;

    /// <summary>Size of union grant_entry_v2.</summary>
    public const int SizeV2 = 16;

    /// <summary>Offset of full_page.frame and sub_page.frame, 64 bits.</summary>
    public const int FrameOffsetV2 = 8;

    /// <summary>Offset of sub_page.page_off, 16 bits.</summary>
    public const int PageOffsetOffset = 4;

    /// <summary>Offset of sub_page.length, 16 bits.</summary>
    public const int LengthOffset = 6;

    /// <summary>Offset of transitive.trans_domid, 16 bits.</summary>
    public const int TransitiveDomainOffset = 4;

    /// <summary>Offset of transitive.gref, 32 bits.</summary>
    public const int TransitiveReferenceOffset = 8;

    /// <summary>Size of grant_status_t: the reading and writing flags of a version 2 entry.</summary>
    public const int StatusSize = 2;

    /// <summary>GNTTAB_NR_RESERVED_ENTRIES: kept when the guest changes the version.</summary>
    public const uint Reserved = 8;

    /// <summary>GNTTAB_RESERVED_CONSOLE.</summary>
    public const uint ReservedConsole = 0;

    /// <summary>GNTTAB_RESERVED_XENSTORE.</summary>
    public const uint ReservedXenstore = 1;
}
