using System.Runtime.CompilerServices;

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

    /// <summary>
    /// Opens a connection over a ring; returns its slot, or <see cref="Link.None"/> when all are taken.
    /// The one place that makes an object for a domain.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal int CreateConnection(ushort domid, int domain, StoreRing ring)
    {
        if (_protocol == null || _connections.Count == _connections.Slots)
        {
            return Link.None;
        }

        RingConnection connection = new(domid, ring, _protocol, _events, _watches, _tickets, _domains);
        if (!_connections.TryOpen(connection, domain))
        {
            return Link.None;
        }

        connection.Start();
        _connections.MarkReady(connection);
        return connection.Slot;
    }
}
