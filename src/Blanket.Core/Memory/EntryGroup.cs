using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Blanket.Core.Memory;

/// <summary>Eight entries of a page table, a cache line: most tables are sparse and are looked through by groups.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EntryGroup
{
    /// <summary>Entries of a group.</summary>
    internal const int Size = 8;

    private readonly ulong _0, _1, _2, _3, _4, _5, _6, _7;

    /// <summary>Whether any of them is present.</summary>
    internal readonly bool AnyPresent
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ((_0 | _1 | _2 | _3 | _4 | _5 | _6 | _7) & PageTableEntry.Present) != 0;
    }
}
