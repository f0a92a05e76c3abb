namespace Blanket.Core.Memory;

/// <summary>A guest in the machine's memory; all in frames.</summary>
public struct MemoryShare
{
    /// <summary>What it keeps whatever others need; at most <see cref="Target"/>.</summary>
    public ulong Floor;

    /// <summary>What it is to have when there is enough; at least <see cref="Target"/>.</summary>
    public ulong Wish;

    /// <summary>What it is asked to have: its memory/target.</summary>
    public ulong Target;

    /// <summary>What it has.</summary>
    public ulong Owned;
}
