using System.Runtime.CompilerServices;

namespace Blanket.Core.Memory;

/// <summary>
/// Bits of page-table entries (Intel SDM vol. 3, 4.5) and the rules for guests' entries. Guest kernels run in ring 3 as
/// guest users do, so every present entry gets the user bit; a software bit tells the two apart.
/// </summary>
public static class PageTableEntry
{
    public const ulong Present = 1 << 0;
    public const ulong Writable = 1 << 1;
    public const ulong User = 1 << 2;
    public const ulong WriteThrough = 1 << 3;
    public const ulong CacheDisable = 1 << 4;
    public const ulong Accessed = 1 << 5;
    public const ulong Dirty = 1 << 6;

    /// <summary>PAT bit of an L1 entry.</summary>
    public const ulong PageAttribute = 1 << 7;

    /// <summary>PSE bit of an L2 or L3 entry; reserved in an L4 entry.</summary>
    public const ulong PageSize = 1 << 7;
    public const ulong Global = 1 << 8;

    /// <summary>Bits 9-11, the guest's.</summary>
    public const ulong Available = 0xe00;

    /// <summary>_PAGE_GUEST_KERNEL: the guest asked for an entry without the user bit.</summary>
    public const ulong GuestKernel = 1UL << 52;

    /// <summary>Bits 52-62, the guest's.</summary>
    public const ulong AvailableHigh = 0x7ffUL << 52;
    public const ulong NoExecute = 1UL << 63;

    /// <summary>Bits 12-51.</summary>
    public const ulong AddressMask = 0x000ffffffffff000;

    /// <summary>Entries of a table.</summary>
    public const int Count = 512;

    /// <summary>Bits that a guest may not set in a present L1 entry: cache attributes are for owners of devices.</summary>
    public const ulong L1Refused = WriteThrough | CacheDisable | PageAttribute;

    /// <summary>Bits that a guest may not set in a present L2, L3 or L4 entry.</summary>
    public const ulong UpperRefused = WriteThrough | CacheDisable | PageSize | Global;

    /// <summary>Bits that may change without a new check of what the entry refers to.</summary>
    public const ulong Unchecked = NoExecute | AvailableHigh | Available | Global | Dirty | Accessed | User;

    /// <summary>The frame that an entry refers to.</summary>
    public static ulong Frame(ulong entry) => (entry & AddressMask) >> Machine.Cpu.PageShift;

    /// <summary>A present L1 entry as it is stored for a guest: kernel pages are marked, user pages are global.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong AdjustL1(ulong entry)
    {
        if ((entry & User) == 0)
        {
            entry |= GuestKernel | User;
        }

        if ((entry & GuestKernel) == 0)
        {
            entry |= Global;
        }

        return entry;
    }

    /// <summary>A present entry of an L2, L3 or L4 table as it is stored for a guest.</summary>
    public static ulong AdjustUpper(ulong entry, int level) => entry | User | (level == 4 ? Accessed : 0);
}
