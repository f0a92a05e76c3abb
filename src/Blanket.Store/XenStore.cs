using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// xenstore: a tree of small values that domains and services share, with watches and transactions (docs/xenstore.md).
/// Every member needs the store's lock, which is the caller's; none of them waits.
/// </summary>
public sealed class XenStore
{
    private readonly StoreHost _host;
    private readonly ByteChains _chains;
    private readonly DomainTable _domains;
    private readonly PermissionTable _permissions;
    private readonly ConnectionTable _connections;
    private readonly TicketTable _tickets;
    private readonly NodeTable _nodes;
    private readonly EventTable _events;
    private readonly WatchTable _watches;
    private readonly TransactionTable _transactions;
    private readonly NodeOperations _nodeOperations;
    private readonly WatchOperations _watchOperations;
    private readonly DomainOperations _domainOperations;
    private readonly StoreCheck _check;
    private bool _isProcessing;

    /// <summary>A store with the nodes /, /tool and /tool/xenstored, which belong to domain 0. Domain 0 exists and is privileged.</summary>
    /// <param name="host">The hypervisor around it.</param>
    /// <param name="quotas">Limits of unprivileged domains.</param>
    /// <param name="capacity">Limits of the store.</param>
    /// <param name="key0">Half of a random key: guests must not be able to guess it.</param>
    /// <param name="key1">The other half.</param>
    public XenStore(StoreHost host, StoreQuotas quotas, StoreCapacity capacity, ulong key0, ulong key1)
    {
        _host = host;
        PathHash hash = new(key0, key1);
        _chains = new ByteChains(capacity.Chunks);
        _domains = new DomainTable(quotas, capacity);
        _permissions = new PermissionTable(capacity.PermissionLists, _domains);
        _connections = new ConnectionTable(capacity.Connections, host);
        _tickets = new TicketTable(capacity.Requests, _domains, _connections);
        _nodes = new NodeTable(capacity, _chains, _domains, _permissions);
        _events = new EventTable(capacity, _chains, hash, _domains, _connections, _tickets, host);
        _watches = new WatchTable(capacity, quotas, _chains, hash, _domains, _permissions, _connections, _events);
        _transactions = new TransactionTable(capacity, quotas, _nodes, _domains, _watches, hash);
        _watchOperations = new WatchOperations(quotas, _watches, _transactions, hash);
        _check = new StoreCheck(_nodes, _domains, hash);

        Check.That(_domains.Create(0, true) == XenStoreError.None);
        NodeSpace space = new(quotas, ClosedToOthers(), _nodes, _domains, _permissions, _transactions, _watches);
        SpecialPaths specials = new(_permissions, ClosedToOthers(), ClosedToOthers());
        ConnectionFactory factory = new(_connections, _domains, _events, _watchOperations, _tickets);
        _nodeOperations = new NodeOperations(quotas, space, _nodes, _domains, _permissions, specials, hash);
        _domainOperations = new DomainOperations(_domains, _connections, space, _watches, specials, factory, host, hash);
        factory.Protocol = new WireProtocol(
            new NodeRequests(_nodeOperations),
            new WatchRequests(_watchOperations),
            new TransactionRequests(_transactions),
            new DomainRequests(_domainOperations),
            new ControlRequests(quotas, _domains, _check, host),
            _transactions,
            _domains);
        CreateNodes(hash);
    }

    /// <summary>When <see cref="Process"/> is to be called at the latest, in <see cref="StoreHost.Now"/>'s nanoseconds.</summary>
    public ulong NextDeadline => _connections.HasReady ? 0 : _events.NextDeadline;

    /// <summary>What is in use.</summary>
    public StoreUsage Usage => new()
    {
        Domains = _domains.Count,
        Connections = _connections.Count,
        Nodes = _nodes.Count,
        PermissionLists = _permissions.Count,
        Transactions = _transactions.Count,
        Watches = _watches.Count,
        Events = _events.Count,
        Requests = _tickets.Count,
        Chunks = _chains.Count,
        Memory = _domains.Memory,
    };

    /// <summary>Whether links, hashes and sums inside the store are right; takes time in proportion to the whole store.</summary>
    public bool IsSound => _check.IsSound();

    /// <summary>
    /// A domain exists from now on, so that permissions can name it; before <see cref="Introduce"/>. EEXIST, ENOMEM.
    /// </summary>
    /// <param name="domid">Its number.</param>
    /// <param name="isPrivileged">Exempt from permissions and quotas: control domains and built-in services.</param>
    public XenStoreError CreateDomain(ushort domid, bool isPrivileged) => _domainOperations.Create(domid, isPrivileged);

    /// <summary>
    /// INTRODUCE: talks to a domain through its ring from now on; resets a connection that there is. The ring becomes the store's,
    /// which closes it in the end; on an error it stays the caller's. ENOMEM. Creates objects, in the caller's arena.
    /// </summary>
    public XenStoreError Introduce(ushort domid, StoreRing ring) => _domainOperations.Introduce(domid, ring);

    /// <summary>RELEASE: talks to a domain no more, and removes what it owns. ENOENT.</summary>
    public XenStoreError Release(ushort domid) => _domainOperations.Release(domid);

    /// <summary>A domain exists no more; releases it first. ENOENT, EINVAL for domain 0, EBUSY while clients act for it.</summary>
    public XenStoreError DestroyDomain(ushort domid) => _domainOperations.Destroy(domid);

    /// <summary>A domain has shut down or crashed: @releaseDomain for who watches it. ENOENT unless introduced.</summary>
    public XenStoreError ReportShutdown(ushort domid) => _domainOperations.Shutdown(domid);

    /// <summary>The event channel of a domain's ring has an event. Ignored unless introduced.</summary>
    public void RingNotified(ushort domid)
    {
        StoreConnection? connection = _domainOperations.FindRing(domid);
        if (connection != null)
        {
            _connections.MarkReady(connection);
        }
    }

    /// <summary>
    /// Makes a client for a service in this image: ENOENT (no such domain), ENOMEM (all slots taken). Creates objects, in the caller's arena.
    /// </summary>
    /// <param name="domid">The domain that it acts for, which <see cref="CreateDomain"/> knows.</param>
    /// <param name="maximumWatches">Watches that it can have.</param>
    /// <param name="client">The client; null on an error.</param>
    public XenStoreError CreateClient(ushort domid, int maximumWatches, out StoreClient? client)
    {
        client = null;
        int domain = _domains.Find(domid);
        if (domain == Link.None)
        {
            return XenStoreError.NotFound;
        }

        StoreClient made = new(
            domid, maximumWatches, _nodeOperations, _watchOperations, _transactions, _domains, _connections, _events);
        if (!_connections.TryOpen(made, domain))
        {
            return XenStoreError.NoMemory;
        }

        _domains[domain].Clients++;
        client = made;
        return XenStoreError.None;
    }

    /// <summary>
    /// Serves connections in turn: one request, or a batch of events, a turn. Does nothing when called from within itself.
    /// </summary>
    /// <param name="maximumTurns">Turns to take at most.</param>
    /// <returns>Whether there is more to do at once.</returns>
    public bool Process(int maximumTurns)
    {
        if (_isProcessing)
        {
            return false;
        }

        _isProcessing = true;
        _events.Expire();
        for (int turn = 0; turn < maximumTurns; turn++)
        {
            StoreConnection? connection = _connections.TakeReady();
            if (connection == null)
            {
                break;
            }

            // The connection may be gone when its turn is over: a watcher may have closed it.
            if (connection.Serve() && connection.Slot != Link.None)
            {
                _connections.MarkReady(connection);
            }
        }

        _isProcessing = false;
        return _connections.HasReady;
    }

    /// <summary>A list that gives domain 0 everything and others nothing.</summary>
    private int ClosedToOthers()
    {
        Span<StorePermission> entries = stackalloc StorePermission[1];
        entries[0] = new StorePermission(0, StoreAccess.None);
        Check.That(_permissions.TryCreate(entries, out int list));
        return list;
    }

    /// <summary>Makes the nodes that there are from the beginning.</summary>
    private void CreateNodes(PathHash hash)
    {
        StorePath path = new(hash);
        Check.That(_nodes.Create(path, 0, Link.None, ClosedToOthers(), true, out _) == XenStoreError.None);
        Caller caller = new(_domains.Find(0), 0, true, Link.None);
        Check.That(_nodeOperations.MakeDirectory(caller, "/tool/xenstored"u8) == XenStoreError.None);
    }
}
