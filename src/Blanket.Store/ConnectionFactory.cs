namespace Blanket.Store;

/// <summary>Makes the connections of domains; apart from who decides that, because requests need it and it needs requests.</summary>
internal sealed class ConnectionFactory
{
    private readonly ConnectionTable _connections;
    private readonly DomainTable _domains;
    private readonly EventTable _events;
    private readonly WatchOperations _watches;
    private readonly TicketTable _tickets;
    private WireProtocol? _protocol;

    /// <summary>A factory that works once it has been given the <see cref="Protocol"/>.</summary>
    internal ConnectionFactory(
        ConnectionTable connections, DomainTable domains, EventTable events, WatchOperations watches, TicketTable tickets)
    {
        _connections = connections;
        _domains = domains;
        _events = events;
        _watches = watches;
        _tickets = tickets;
    }

    /// <summary>What serves requests of ring connections.</summary>
    internal WireProtocol Protocol
    {
        set => _protocol = value;
    }

    /// <summary>Opens a connection over a ring; false when all slots are taken. The one place that makes an object for a domain.</summary>
    internal bool TryOpenRing(ushort domid, int domain, StoreRing ring, out int slot)
    {
        slot = Link.None;
        if (_protocol == null || _connections.Count == _connections.Slots)
        {
            return false;
        }

        RingConnection connection = CreateRing(domid, ring, _protocol);
        bool opened = _connections.TryOpen(connection, domain);
        if (opened)
        {
            slot = connection.Slot;
            connection.Start();
            _connections.MarkReady(connection);
        }

        return opened;
    }

    private RingConnection CreateRing(ushort domid, StoreRing ring, WireProtocol protocol) =>
        new(domid, ring, protocol, _events, _watches, _tickets, _domains);
}
