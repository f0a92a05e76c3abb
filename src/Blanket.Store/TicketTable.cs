using Blanket.Machine;

namespace Blanket.Store;

/// <summary>A request that counts as outstanding.</summary>
internal struct Ticket
{
    /// <summary>Which life of the domain.</summary>
    internal ulong Serial;

    /// <summary>Its reply and the events that it caused, as far as they have not been taken.</summary>
    internal int References;

    /// <summary>The domain that sent it.</summary>
    internal ushort Domid;
}

/// <summary>
/// Outstanding requests. A request of an unprivileged domain counts until its reply and all watch events that it caused
/// have been taken by their receivers, so that a domain cannot make the queues of others grow faster than they are read.
/// </summary>
internal sealed class TicketTable
{
    private readonly Slab<Ticket> _tickets;
    private readonly DomainTable _domains;
    private readonly ConnectionTable _connections;

    /// <summary>No requests.</summary>
    internal TicketTable(int maximumTickets, DomainTable domains, ConnectionTable connections)
    {
        _tickets = new Slab<Ticket>(maximumTickets);
        _domains = domains;
        _connections = connections;
    }

    /// <summary>Outstanding requests.</summary>
    internal int Count => _tickets.Used;

    /// <summary>The request that is being served, or <see cref="Link.None"/>.</summary>
    internal int Current { get; private set; } = Link.None;

    /// <summary>A request of a domain is being served from now on. Not counted when privileged, or when memory is out.</summary>
    internal void Open(int domain)
    {
        Current = Link.None;
        ref DomainRecord record = ref _domains[domain];
        if (record.IsPrivileged || !_tickets.TryAllocate(out int ticket))
        {
            return;
        }

        _tickets[ticket] = new Ticket { Domid = record.Domid, Serial = record.Serial, References = 1 };
        record.Outstanding++;
        Current = ticket;
    }

    /// <summary>The request has been served; the reference that <see cref="Open"/> made passes to its reply.</summary>
    internal int Close()
    {
        int ticket = Current;
        Current = Link.None;
        return ticket;
    }

    /// <summary>An event was caused by the request that is being served; returns its ticket.</summary>
    internal int Share()
    {
        if (Current != Link.None)
        {
            _tickets[Current].References++;
        }

        return Current;
    }

    /// <summary>A reply or event was taken. <see cref="Link.None"/> is allowed.</summary>
    internal void Release(int ticket)
    {
        if (ticket == Link.None)
        {
            return;
        }

        ref Ticket record = ref _tickets[ticket];
        record.References--;
        if (record.References > 0)
        {
            return;
        }

        int domain = _domains.FindAlive(record.Domid, record.Serial);
        _tickets.Free(ticket);
        if (domain != Link.None)
        {
            _domains[domain].Outstanding--;
            Wake(domain);
        }
    }

    /// <summary>A domain's requests that were held back may be served again.</summary>
    private void Wake(int domain)
    {
        int slot = _domains[domain].RingSlot;
        StoreConnection? connection = slot == Link.None ? null : _connections[slot];
        if (connection != null)
        {
            _connections.MarkReady(connection);
        }
    }
}
