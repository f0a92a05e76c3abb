namespace Blanket.Store;

/// <summary>What the store knows about a domain that exists.</summary>
internal struct DomainRecord : IHashed
{
    /// <summary>Tells this life of a domain number from others; never 0.</summary>
    internal ulong Serial;

    /// <summary>The domain's number.</summary>
    internal ushort Domid;

    /// <summary>Exempt from permissions and quotas.</summary>
    internal bool IsPrivileged;

    /// <summary>Its shutdown has been announced by @releaseDomain.</summary>
    internal bool ShutdownAnnounced;

    /// <summary>Slot of its ring connection, or <see cref="Link.None"/> when it is not introduced.</summary>
    internal int RingSlot;

    /// <summary>In-process clients that act for it.</summary>
    internal int Clients;

    /// <summary>The domain whose rights it has too (SET_TARGET), when <see cref="TargetSerial"/> says that there is one.</summary>
    internal ushort TargetDomid;

    /// <summary>Which life of the target; 0 for no target.</summary>
    internal ulong TargetSerial;

    /// <summary>Nodes it owns.</summary>
    internal int NodeCount;

    /// <summary>Watches of its connections.</summary>
    internal int WatchCount;

    /// <summary>Open transactions of its connections.</summary>
    internal int TransactionCount;

    /// <summary>Requests whose reply or events have not been taken.</summary>
    internal int Outstanding;

    /// <summary>Bytes charged to it.</summary>
    internal long Memory;

    /// <summary>Oldest of its nodes.</summary>
    internal int FirstOwned;

    /// <summary>Youngest of its nodes.</summary>
    internal int LastOwned;

    /// <inheritdoc/>
    public readonly ulong HashKey => Domid;

    /// <inheritdoc/>
    public int HashNext { get; set; }

    /// <inheritdoc/>
    public int HashPrevious { get; set; }
}
