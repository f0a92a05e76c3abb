using System;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// The queues of watch events, one a connection. An event equal to one that still waits is not queued again.
/// Events of unprivileged receivers are charged to them, and dropped when they have waited
/// <see cref="Lifetime"/>, as C xenstored does.
/// </summary>
internal sealed class EventTable
{
    /// <summary>How long an unprivileged domain may leave an event in its queue, nanoseconds.</summary>
    internal const ulong Lifetime = 20_000_000_000;

    private readonly Slab<EventRecord> _events;
    private readonly HashIndex<EventRecord> _byContent;
    private readonly ByteChains _chains;
    private readonly PathHash _hash;
    private readonly DomainTable _domains;
    private readonly ConnectionTable _connections;
    private readonly TicketTable _tickets;
    private readonly StoreHost _host;

    /// <summary>Empty queues.</summary>
    internal EventTable(
        StoreCapacity capacity,
        ByteChains chains,
        PathHash hash,
        DomainTable domains,
        ConnectionTable connections,
        TicketTable tickets,
        StoreHost host)
    {
        _events = new Slab<EventRecord>(capacity.Events);
        _byContent = new HashIndex<EventRecord>(_events, capacity.HashBits);
        _chains = chains;
        _hash = hash;
        _domains = domains;
        _connections = connections;
        _tickets = tickets;
        _host = host;
    }

    /// <summary>Events that wait.</summary>
    internal int Count => _events.Used;

    /// <summary>When the next event may be dropped; <see cref="ulong.MaxValue"/> for never.</summary>
    internal ulong NextDeadline { get; private set; } = ulong.MaxValue;

    /// <summary>An event.</summary>
    internal ref EventRecord this[int index] => ref _events[index];

    /// <summary>
    /// Queues an event unless it waits already. False when the receiver's quota or memory is used up, and the event is lost.
    /// </summary>
    /// <param name="connection">The receiver.</param>
    /// <param name="watcherSlot">Where an in-process client keeps the watcher.</param>
    /// <param name="watchSerial">Serial number of the watch.</param>
    /// <param name="payload">Path and token, each with a terminator.</param>
    internal bool TryQueue(StoreConnection connection, int watcherSlot, ulong watchSerial, ReadOnlySpan<byte> payload)
    {
        ulong key = _hash.Extend(watchSerial, payload);
        if (IsQueued(key, watchSerial, payload))
        {
            return true;
        }

        int charge = EventRecord.Footprint + ByteChains.Footprint(payload.Length);
        if (!_domains.TryCharge(connection.Domain, charge, false))
        {
            return false;
        }

        if (!_chains.TryCreate(payload, out Chain chain))
        {
            _domains.Credit(connection.Domain, charge);
            return false;
        }

        if (!_events.TryAllocate(out int index))
        {
            _chains.Free(ref chain);
            _domains.Credit(connection.Domain, charge);
            return false;
        }

        _events[index] = new EventRecord
        {
            Key = key,
            WatcherSlot = watcherSlot,
            WatchSerial = watchSerial,
            Payload = chain,
            Ticket = _tickets.Share(),
            Deadline = DeadlineFor(connection.Domain),
            Next = Link.None,
        };
        _byContent.Insert(index);
        Append(connection, index);
        _connections.MarkReady(connection);
        return true;
    }

    /// <summary>Takes the oldest event of a connection off its queue, copying its payload; returns its length.</summary>
    /// <param name="connection">A connection with an event.</param>
    /// <param name="payload">At least XENSTORE_PAYLOAD_MAX bytes.</param>
    /// <param name="ticket">The request that caused it; for <see cref="Taken"/>.</param>
    internal int Take(StoreConnection connection, Span<byte> payload, out int ticket)
    {
        int index = connection.FirstEvent;
        ticket = _events[index].Ticket;
        int length = _chains.Read(_events[index].Payload, 0, payload);
        RemoveFirst(connection);
        return length;
    }

    /// <summary>An event from <see cref="Take"/> has been taken by its receiver.</summary>
    internal void Taken(int ticket) => _tickets.Release(ticket);

    /// <summary>Drops all events of a connection.</summary>
    internal void Clear(StoreConnection connection)
    {
        while (connection.FirstEvent != Link.None)
        {
            Drop(connection);
        }
    }

    /// <summary>Drops the events whose time is over.</summary>
    internal void Expire()
    {
        ulong now = _host.Now;
        if (now < NextDeadline)
        {
            return;
        }

        ulong next = ulong.MaxValue;
        for (int slot = 0; slot < _connections.Slots; slot++)
        {
            StoreConnection? connection = _connections[slot];
            if (connection != null)
            {
                next = Math.Min(next, Expire(connection, now));
            }
        }

        NextDeadline = next;
    }

    private ulong Expire(StoreConnection connection, ulong now)
    {
        while (connection.FirstEvent != Link.None && _events[connection.FirstEvent].Deadline <= now)
        {
            Drop(connection);
            connection.EventDropped();
        }

        return connection.FirstEvent == Link.None ? ulong.MaxValue : _events[connection.FirstEvent].Deadline;
    }

    private void Drop(StoreConnection connection)
    {
        int ticket = _events[connection.FirstEvent].Ticket;
        RemoveFirst(connection);
        _tickets.Release(ticket);
    }

    private bool IsQueued(ulong key, ulong watchSerial, ReadOnlySpan<byte> payload)
    {
        for (int index = _byContent.First(key); index != Link.None; index = _byContent.Next(index))
        {
            if (_events[index].WatchSerial == watchSerial && _chains.AreEqual(_events[index].Payload, payload))
            {
                return true;
            }
        }

        return false;
    }

    private ulong DeadlineFor(int domain)
    {
        if (_domains[domain].IsPrivileged)
        {
            return ulong.MaxValue;
        }

        ulong deadline = _host.Now + Lifetime;
        NextDeadline = Math.Min(NextDeadline, deadline);
        return deadline;
    }

    private void Append(StoreConnection connection, int index)
    {
        if (connection.LastEvent == Link.None)
        {
            connection.FirstEvent = index;
        }
        else
        {
            _events[connection.LastEvent].Next = index;
        }

        connection.LastEvent = index;
        connection.EventCount++;
    }

    private void RemoveFirst(StoreConnection connection)
    {
        int index = connection.FirstEvent;
        ref EventRecord record = ref _events[index];
        connection.FirstEvent = record.Next;
        if (record.Next == Link.None)
        {
            connection.LastEvent = Link.None;
        }

        connection.EventCount--;
        _byContent.Remove(index);
        _domains.Credit(connection.Domain, EventRecord.Footprint + ByteChains.Footprint(record.Payload.Length));
        _chains.Free(ref record.Payload);
        _events.Free(index);
    }
}
