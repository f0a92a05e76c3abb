namespace Blanket.Kernel.Platform;

/// <summary>Bits of the hypervisor's own page-table entries (Intel SDM vol. 3, 4.5).</summary>
internal static class PageFlags
{
    internal const ulong Present = 1 << 0;
    internal const ulong Writable = 1 << 1;
    internal const ulong User = 1 << 2;
    internal const ulong WriteThrough = 1 << 3;
    internal const ulong CacheDisable = 1 << 4;

    /// <summary>Accessed and dirty: set beforehand, so that the CPU never needs to write the hypervisor's tables.</summary>
    internal const ulong Touched = 3 << 5;

    /// <summary>The entry of an L2 or L3 table maps memory itself.</summary>
    internal const ulong Large = 1 << 7;
    internal const ulong NoExecute = 1UL << 63;
    internal const ulong AddressMask = 0x000ffffffffff000;

    /// <summary>Data of the hypervisor.</summary>
    internal const ulong Data = Present | Writable | Touched | NoExecute;

    /// <summary>Constants of the hypervisor.</summary>
    internal const ulong Constants = Present | Touched | NoExecute;

    /// <summary>Code of the hypervisor.</summary>
    internal const ulong Code = Present | Touched;

    /// <summary>Device registers: uncached whatever the PAT says (PCD and PWT select entry 3, UC at reset and in every use).</summary>
    internal const ulong Device = Data | CacheDisable | WriteThrough;

    /// <summary>An upper-level entry; permissions are the leaf's.</summary>
    internal const ulong Table = Present | Writable | Touched;

    /// <summary>An upper-level entry of what guests may read but nobody may write.</summary>
    internal const ulong GuestReadableTable = Present | User | Touched;

    /// <summary>What guests may read.</summary>
    internal const ulong GuestReadable = Constants | User;

    /// <summary>Bytes that an entry of an L2 table maps.</summary>
    internal const ulong LargeSize = 1UL << 21;

    /// <summary>Bytes that an entry of an L3 table maps.</summary>
    internal const ulong HugeSize = 1UL << 30;

    /// <summary>Entries of a table.</summary>
    internal const int TableEntries = 512;

    /// <summary>Index into a table of a level, 1 to 4.</summary>
    internal static int Index(ulong linear, int level) => (int)(linear >> (Machine.Cpu.PageShift + (level - 1) * 9)) & (TableEntries - 1);

    /// <summary>The frame that an entry refers to.</summary>
    internal static ulong Frame(ulong entry) => (entry & AddressMask) >> Machine.Cpu.PageShift;
}
