using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// How far a page table is validated while its type count is not 0: FrameInfo.ValidatedEntries is the number of entries, from
/// the first, that hold their references. Bit 15 adds that the next entry holds a reference on its table without
/// a type count, because work on that table was suspended.
/// </summary>
internal static class TableProgress
{
    private const int CountMask = 0x3ff;
    private const int NextHoldsReferenceBit = 0x8000;

    /// <summary>Entries that hold their references, 0 to 512.</summary>
    internal static int Entries(ref FrameInfo info) => info.ValidatedEntries & CountMask;

    /// <summary>Whether the entry after those holds a reference only.</summary>
    internal static bool NextHoldsReference(ref FrameInfo info) => (info.ValidatedEntries & NextHoldsReferenceBit) != 0;

    /// <summary>Notes progress.</summary>
    internal static void Set(ref FrameInfo info, int entries, bool nextHoldsReference) =>
        info.ValidatedEntries = (ushort)(entries | (nextHoldsReference ? NextHoldsReferenceBit : 0));
}
