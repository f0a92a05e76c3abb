namespace Blanket.Core.Hypercalls;

/// <summary>struct multicall_entry (xen/include/public/xen.h).</summary>
internal struct MulticallEntry
{
    public ulong Operation;
    public long Result;
    public ulong A1;
    public ulong A2;
    public ulong A3;
    public ulong A4;
    public ulong A5;
    public ulong A6;

    /// <summary>Bytes of an entry.</summary>
    public const ulong Size = 64;

    /// <summary>Offset of <see cref="Result"/>.</summary>
    public const ulong ResultOffset = 8;
}
