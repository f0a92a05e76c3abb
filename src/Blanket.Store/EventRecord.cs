namespace Blanket.Store;

/// <summary>A watch event that waits for its receiver.</summary>
internal struct EventRecord : IHashed
{
    /// <summary>Bytes that a record takes, as it is charged.</summary>
    internal const int Footprint = 64;

    /// <summary>Hash of watch and payload.</summary>
    internal ulong Key;

    /// <summary>Serial number of the watch.</summary>
    internal ulong WatchSerial;

    /// <summary>When it is dropped, in the host's nanoseconds; <see cref="ulong.MaxValue"/> for never.</summary>
    internal ulong Deadline;

    /// <summary>Path and token, each with a terminator.</summary>
    internal Chain Payload;

    /// <summary>Where an in-process client keeps the watcher, if it still is the one with <see cref="WatchSerial"/>.</summary>
    internal int WatcherSlot;

    /// <summary>The request that caused it, or <see cref="Link.None"/>.</summary>
    internal int Ticket;

    /// <summary>Next event of the connection.</summary>
    internal int Next;

    /// <inheritdoc/>
    public readonly ulong HashKey => Key;

    /// <inheritdoc/>
    public int HashNext { get; set; }

    /// <inheritdoc/>
    public int HashPrevious { get; set; }
}
