namespace Blanket.TestKernel;

/// <summary>Bits of page-table entries.</summary>
internal static class PageEntry
{
    internal const ulong Present = 1;
    internal const ulong Writable = 2;
    internal const ulong User = 4;
    internal const ulong WriteThrough = 8;
    internal const ulong CacheDisable = 0x10;
    internal const ulong Accessed = 0x20;
    internal const ulong Dirty = 0x40;
    internal const ulong Large = 0x80;
    internal const ulong Global = 0x100;
    internal const ulong NoExecute = 1UL << 63;

    internal const ulong ReadOnlyPage = Present | User | Accessed | Dirty;
    internal const ulong ReadWritePage = ReadOnlyPage | Writable;

    /// <summary>An entry that refers to a table.</summary>
    internal const ulong Table = Present | User | Accessed | Writable;

    internal const ulong FrameMask = 0x000f_ffff_ffff_f000;
    internal const int PageShift = 12;
    internal const ulong PageSize = 1 << PageShift;
    internal const int EntriesPerTable = 512;

    internal static ulong Make(ulong frame, ulong flags) => frame << PageShift | flags;

    internal static ulong FrameOf(ulong entry) => (entry & FrameMask) >> PageShift;
}
