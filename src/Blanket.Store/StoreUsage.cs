namespace Blanket.Store;

/// <summary>How much of the store is in use.</summary>
public struct StoreUsage
{
    /// <summary>Domains that exist.</summary>
    public int Domains;

    /// <summary>Ring connections and in-process clients.</summary>
    public int Connections;

    /// <summary>Nodes, and copies of nodes in open transactions.</summary>
    public int Nodes;

    /// <summary>Permission lists.</summary>
    public int PermissionLists;

    /// <summary>Open transactions.</summary>
    public int Transactions;

    /// <summary>Watches.</summary>
    public int Watches;

    /// <summary>Watch events that wait.</summary>
    public int Events;

    /// <summary>Outstanding requests of unprivileged domains.</summary>
    public int Requests;

    /// <summary>Chunks of 64 bytes.</summary>
    public int Chunks;

    /// <summary>Bytes charged to domains.</summary>
    public long Memory;
}
