namespace Blanket.Store;

/// <summary>
/// How large the store may become as a whole. Frames are taken as they are needed; what would exceed <see cref="Memory"/> gets ENOMEM.
/// The number of records of each kind follows from the memory that one takes at least, so that memory is the only limit.
/// </summary>
public sealed class StoreCapacity
{
    private const int OpenTransactionsPerDomain = 16;
    private const int RequestsPerDomain = 32;

    /// <summary>Domains known at a time.</summary>
    public int Domains { get; init; } = 1024;

    /// <summary>Ring connections and in-process clients together.</summary>
    public int Connections { get; init; } = 1280;

    /// <summary>Bytes charged to all domains together, at most; at least 64 KiB.</summary>
    public int Memory { get; init; } = 32 * 1024 * 1024;

    /// <summary>Of <see cref="Memory"/>, bytes that only privileged domains may use.</summary>
    public int ReservedMemory { get; init; } = 8 * 1024 * 1024;

    /// <summary>Base-2 logarithm of the number of buckets of each hash table.</summary>
    public int HashBits { get; init; } = 12;

    /// <summary>Chunks of byte strings.</summary>
    internal int Chunks => Memory / Chunk.Footprint;

    /// <summary>Nodes and transactions' copies.</summary>
    internal int Nodes => Memory / (NodeRecord.Footprint + Chunk.Footprint);

    /// <summary>Permission lists.</summary>
    internal int PermissionLists => Memory / (NodeRecord.Footprint + Chunk.Footprint + PermissionList.Footprint) + SpecialLists;

    /// <summary>Watches.</summary>
    internal int Watches => Memory / (WatchRecord.Footprint + Chunk.Footprint);

    /// <summary>Waiting events.</summary>
    internal int Events => Memory / (EventRecord.Footprint + Chunk.Footprint);

    /// <summary>Open transactions.</summary>
    internal int Transactions => Domains * OpenTransactionsPerDomain;

    /// <summary>Outstanding requests.</summary>
    internal int Requests => Domains * RequestsPerDomain;

    /// <summary>Lists that no node is charged for: of the special paths, of a root without owner, one that is being tried.</summary>
    private static int SpecialLists => 4;
}
