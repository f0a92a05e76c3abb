namespace Blanket.Store;

/// <summary>A client of the store: a domain through its ring, or a built-in service in this image.</summary>
public abstract class StoreConnection
{
    private protected StoreConnection(ushort domid)
    {
        Domid = domid;
    }

    /// <summary>The domain that the client acts for; relative paths are below /local/domain/<see cref="Domid"/>/.</summary>
    public ushort Domid { get; }

    /// <summary>Its place in <see cref="ConnectionTable"/>, or <see cref="Link.None"/> when closed.</summary>
    internal int Slot { get; set; } = Link.None;

    /// <summary>Record of <see cref="Domid"/>.</summary>
    internal int Domain { get; set; } = Link.None;

    /// <summary>Oldest waiting event.</summary>
    internal int FirstEvent { get; set; } = Link.None;

    /// <summary>Youngest waiting event.</summary>
    internal int LastEvent { get; set; } = Link.None;

    /// <summary>Waiting events.</summary>
    internal int EventCount { get; set; }

    /// <summary>Of the waiting events, how many are to be sent before the reply; negative until a request has settled that.</summary>
    internal int EventsBeforeReply { get; set; }

    /// <summary>Oldest watch.</summary>
    internal int FirstWatch { get; set; } = Link.None;

    /// <summary>Youngest watch.</summary>
    internal int LastWatch { get; set; } = Link.None;

    /// <summary>Youngest open transaction.</summary>
    internal int FirstTransaction { get; set; } = Link.None;

    /// <summary>Identifier of the last transaction started.</summary>
    internal uint LastTransactionId { get; set; }

    /// <summary>Whether it stands in the queue of connections to serve.</summary>
    internal bool IsReady { get; set; }

    /// <summary>Next in the queue of connections to serve.</summary>
    internal StoreConnection? NextReady { get; set; }

    /// <summary>Serves the client: at most one request, and what can be sent. True when there may be more to do at once.</summary>
    internal abstract bool Serve();

    /// <summary>Gives up everything that the client holds.</summary>
    internal abstract void Stop();

    /// <summary>Called after the oldest waiting event was dropped, because it has waited too long.</summary>
    internal virtual void EventDropped()
    {
    }
}
