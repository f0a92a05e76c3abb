namespace Blanket.Core.Memory;

/// <summary>
/// Layout of FrameInfo.Type: what a frame is used as, how often, and how far it is validated (docs/page-types.md).
/// While the count is 0 the type may change; while it is not, other uses are refused.
/// </summary>
public static class FrameType
{
    /// <summary>Never used as anything since it was given to its owner.</summary>
    public const ulong None = 0;
    public const ulong L1Table = 1UL << 61;
    public const ulong L2Table = 2UL << 61;
    public const ulong L3Table = 3UL << 61;
    public const ulong L4Table = 4UL << 61;

    /// <summary>Part of a GDT or LDT: holds only descriptors that a guest may have.</summary>
    public const ulong SegmentDescriptors = 5UL << 61;

    /// <summary>Mapped writable, or written by a device or by the hypervisor on a guest's behalf.</summary>
    public const ulong Writable = 7UL << 61;

    /// <summary>The bits of the type.</summary>
    public const ulong Mask = 7UL << 61;

    /// <summary>The guest holds a type count on its table (MMUEXT_PIN_Ln_TABLE).</summary>
    public const ulong Pinned = 1UL << 59;

    /// <summary>The contents are right for the type.</summary>
    public const ulong Validated = 1UL << 58;

    /// <summary>
    /// Validation, or its undo, was suspended half-way: the count is 1, this flag owns that count and one reference, and
    /// <see cref="TableProgress"/> tells how far it got.
    /// </summary>
    public const ulong Partial = 1UL << 56;

    /// <summary>Number of uses as the current type.</summary>
    public const ulong CountMask = (1UL << 48) - 1;

    /// <summary>The type of page tables of a level, 1 to 4.</summary>
    public static ulong OfLevel(int level) => (ulong)level << 61;

    /// <summary>The level of a page-table type; 0, or above 4, for other types.</summary>
    public static int Level(ulong type) => (int)(type >> 61);

    /// <summary>Whether a type word is of a page table of any level.</summary>
    public static bool IsTable(ulong type) => unchecked((type >> 61) - 1) < 4;
}
