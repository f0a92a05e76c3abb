namespace Blanket.Store;

/// <summary>A watch.</summary>
internal struct WatchRecord : IHashed
{
    /// <summary>Bytes that a record takes, as it is charged.</summary>
    internal const int Footprint = 72;

    /// <summary><see cref="Depth"/> of a watch without limit.</summary>
    internal const int AnyDepth = -1;

    /// <summary>Hash of <see cref="Path"/>.</summary>
    internal ulong PathHash;

    /// <summary>Tells this watch from all others, also earlier ones.</summary>
    internal ulong Serial;

    /// <summary>Absolute path or special name.</summary>
    internal Chain Path;

    /// <summary>The client's token.</summary>
    internal Chain Token;

    /// <summary>Slot of the connection.</summary>
    internal int Connection;

    /// <summary>Previous watch of the connection.</summary>
    internal int Previous;

    /// <summary>Next watch of the connection.</summary>
    internal int Next;

    /// <summary>Levels below the path that it covers, or <see cref="AnyDepth"/>.</summary>
    internal int Depth;

    /// <summary>Leading bytes that the client's relative path left out, 0 for an absolute path.</summary>
    internal int PrefixLength;

    /// <summary>Where an in-process client keeps the watcher.</summary>
    internal int WatcherSlot;

    /// <inheritdoc/>
    public readonly ulong HashKey => PathHash;

    /// <inheritdoc/>
    public int HashNext { get; set; }

    /// <inheritdoc/>
    public int HashPrevious { get; set; }
}
