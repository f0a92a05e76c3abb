using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>All watches by path, and the events that changes make for them.</summary>
internal sealed class WatchTable
{
    /// <summary>Keeps the hashes of special names apart from those of paths.</summary>
    private const ulong SpecialSeed = 1;

    private readonly Slab<WatchRecord> _watches;
    private readonly HashIndex<WatchRecord> _byPath;
    private readonly ByteChains _chains;
    private readonly PathHash _hash;
    private readonly DomainTable _domains;
    private readonly PermissionTable _permissions;
    private readonly ConnectionTable _connections;
    private readonly EventTable _events;
    private readonly StoreQuotas _quotas;
    private readonly byte[] _payload = new byte[XenStoreWire.PayloadMax];
    private readonly byte[] _exactPath = new byte[StorePath.Capacity];
    private ulong _lastSerial;

    /// <summary>No watches.</summary>
    internal WatchTable(
        StoreCapacity capacity,
        StoreQuotas quotas,
        ByteChains chains,
        PathHash hash,
        DomainTable domains,
        PermissionTable permissions,
        ConnectionTable connections,
        EventTable events)
    {
        _watches = new Slab<WatchRecord>(capacity.Watches);
        _byPath = new HashIndex<WatchRecord>(_watches, capacity.HashBits);
        _quotas = quotas;
        _chains = chains;
        _hash = hash;
        _domains = domains;
        _permissions = permissions;
        _connections = connections;
        _events = events;
    }

    /// <summary>Watches set up.</summary>
    internal int Count => _watches.Used;

    /// <summary>A watch.</summary>
    internal ref WatchRecord this[int watch] => ref _watches[watch];

    /// <summary>Hash of a special name.</summary>
    internal ulong SpecialHash(ReadOnlySpan<byte> name) => _hash.Extend(SpecialSeed, name);

    /// <summary>Sets up a watch: EEXIST, E2BIG (quota), ENOMEM. Its first event is the caller's to send.</summary>
    /// <param name="connection">Who watches.</param>
    /// <param name="path">Absolute path or special name.</param>
    /// <param name="hash">Its hash.</param>
    /// <param name="token">What events carry.</param>
    /// <param name="prefixLength">Bytes of the path that events leave out.</param>
    /// <param name="depth">Levels below the path, or <see cref="WatchRecord.AnyDepth"/>.</param>
    /// <param name="watcherSlot">Where an in-process client keeps the watcher.</param>
    /// <param name="watch">The new watch.</param>
    internal XenStoreError Add(
        StoreConnection connection,
        ReadOnlySpan<byte> path,
        ulong hash,
        ReadOnlySpan<byte> token,
        int prefixLength,
        int depth,
        int watcherSlot,
        out int watch)
    {
        watch = Find(connection, path, hash, token);
        if (watch != Link.None)
        {
            return XenStoreError.Exists;
        }

        ref DomainRecord domain = ref _domains[connection.Domain];
        if (!domain.IsPrivileged && domain.WatchCount >= _quotas.Watches)
        {
            return XenStoreError.TooBig;
        }

        if (!TryAllocate(connection.Domain, path, token, out watch))
        {
            return XenStoreError.NoMemory;
        }

        _lastSerial++;
        ref WatchRecord record = ref _watches[watch];
        record.PathHash = hash;
        record.Serial = _lastSerial;
        record.Connection = connection.Slot;
        record.Depth = depth;
        record.PrefixLength = prefixLength;
        record.WatcherSlot = watcherSlot;
        _byPath.Insert(watch);
        Append(connection, watch);
        domain.WatchCount++;
        return XenStoreError.None;
    }

    /// <summary>A connection's watch with this path and token, or <see cref="Link.None"/>.</summary>
    internal int Find(StoreConnection connection, ReadOnlySpan<byte> path, ulong hash, ReadOnlySpan<byte> token)
    {
        int watch = _byPath.First(hash);
        while (watch != Link.None && !IsWatch(watch, connection, path, token))
        {
            watch = _byPath.Next(watch);
        }

        return watch;
    }

    /// <summary>Ends a watch. Events that wait are still delivered to ring connections.</summary>
    internal void Remove(int watch)
    {
        ref WatchRecord record = ref _watches[watch];
        StoreConnection connection = _connections[record.Connection]!;
        Unlink(connection, watch);
        _byPath.Remove(watch);
        ref DomainRecord domain = ref _domains[connection.Domain];
        domain.WatchCount--;
        _domains.Credit(connection.Domain, FootprintOf(record.Path.Length, record.Token.Length));
        _chains.Free(ref record.Path);
        _chains.Free(ref record.Token);
        _watches.Free(watch);
    }

    /// <summary>Ends all watches of a connection.</summary>
    internal void RemoveAll(StoreConnection connection)
    {
        while (connection.FirstWatch != Link.None)
        {
            Remove(connection.FirstWatch);
        }
    }

    /// <summary>Queues the event that a new watch begins with; false when memory is out.</summary>
    internal bool TryFireFirst(int watch)
    {
        int length = _chains.Read(_watches[watch].Path, 0, _exactPath);
        return TrySend(watch, new ReadOnlySpan<byte>(_exactPath, 0, length));
    }

    /// <summary>A node changed: events for watches on its path and on all ancestors.</summary>
    internal void Fire(StorePath path, NodeRights rights)
    {
        for (int level = path.Depth; level >= 0; level--)
        {
            Fire(path.At(level), path.HashAt(level), path.Depth - level, path.Text, rights);
        }
    }

    /// <summary>A node was removed together with an ancestor: events only for watches on its very path.</summary>
    internal void FireExact(Chain path, ulong hash, NodeRights rights)
    {
        if (_byPath.First(hash) != Link.None)
        {
            int length = _chains.Read(path, 0, _exactPath);
            ReadOnlySpan<byte> text = new(_exactPath, 0, length);
            Fire(text, hash, 0, text, rights);
        }
    }

    /// <summary>
    /// A special event about a domain. Watches on the name get the name, with depth 1 the name with the domain;
    /// watches on NAME/domid are for that domain only.
    /// </summary>
    internal void FireSpecial(ReadOnlySpan<byte> name, ushort domid, int permissions)
    {
        PathBuilder path = new(stackalloc byte[32]);
        path.Append(name);
        path.AppendName(domid);
        FireSpecial(name, path.Text, false, permissions);
        FireSpecial(path.Text, path.Text, true, permissions);
    }

    private static int FootprintOf(int pathLength, int tokenLength) =>
        WatchRecord.Footprint + ByteChains.Footprint(pathLength) + ByteChains.Footprint(tokenLength);

    private void FireSpecial(ReadOnlySpan<byte> name, ReadOnlySpan<byte> nameWithDomain, bool withDomain, int permissions)
    {
        int watch = _byPath.First(SpecialHash(name));
        for (; watch != Link.None; watch = _byPath.Next(watch))
        {
            ref WatchRecord record = ref _watches[watch];
            if (_chains.AreEqual(record.Path, name) && MayKnow(record, new NodeRights(permissions, Link.None, Link.None)))
            {
                TrySend(watch, withDomain || record.Depth == 1 ? nameWithDomain : name);
            }
        }
    }

    /// <summary>Events for all watches on one path that reach <paramref name="distance"/> levels below it.</summary>
    private void Fire(ReadOnlySpan<byte> watched, ulong hash, int distance, ReadOnlySpan<byte> changed, NodeRights rights)
    {
        // Watches of one connection often follow each other: its rights are looked at once.
        int connection = Link.None;
        bool mayKnow = false;
        for (int watch = _byPath.First(hash); watch != Link.None; watch = _byPath.Next(watch))
        {
            ref WatchRecord record = ref _watches[watch];
            if ((record.Depth != WatchRecord.AnyDepth && distance > record.Depth) || !_chains.AreEqual(record.Path, watched))
            {
                continue;
            }

            if (record.Connection != connection)
            {
                connection = record.Connection;
                mayKnow = MayKnow(record, rights);
            }

            if (mayKnow)
            {
                TrySend(watch, changed);
            }
        }
    }

    private bool IsWatch(int watch, StoreConnection connection, ReadOnlySpan<byte> path, ReadOnlySpan<byte> token)
    {
        ref WatchRecord record = ref _watches[watch];
        return record.Connection == connection.Slot
            && _chains.AreEqual(record.Path, path) && _chains.AreEqual(record.Token, token);
    }

    private bool MayKnow(in WatchRecord watch, NodeRights rights)
    {
        int domain = _connections[watch.Connection]!.Domain;
        return MayRead(rights.Node, domain) || MayRead(rights.Former, domain) || MayRead(rights.Parent, domain);
    }

    private bool MayRead(int permissions, int domain) =>
        permissions != Link.None && (_permissions.AccessOf(permissions, domain) & StoreAccess.Read) != 0;

    /// <summary>
    /// Queues an event. An event that is too long for a message is not sent. When the receiver's memory is used up the event
    /// is lost to it alone; the request that caused it has succeeded.
    /// </summary>
    private bool TrySend(int watch, ReadOnlySpan<byte> path)
    {
        ref WatchRecord record = ref _watches[watch];
        int skip = record.PrefixLength;
        if (skip > 0 && skip < path.Length)
        {
            skip++; // the slash between the home and the relative path
        }

        path = path[Math.Min(skip, path.Length)..];
        int length = path.Length + record.Token.Length + 2;
        if (length > _payload.Length)
        {
            return true;
        }

        path.CopyTo(_payload);
        _payload[path.Length] = 0;
        _chains.Read(record.Token, 0, new Span<byte>(_payload, path.Length + 1, record.Token.Length));
        _payload[length - 1] = 0;
        StoreConnection connection = _connections[record.Connection]!;
        return _events.TryQueue(connection, record.WatcherSlot, record.Serial, new ReadOnlySpan<byte>(_payload, 0, length));
    }

    private bool TryAllocate(int domain, ReadOnlySpan<byte> path, ReadOnlySpan<byte> token, out int watch)
    {
        watch = Link.None;
        int charge = FootprintOf(path.Length, token.Length);
        if (!_domains.TryCharge(domain, charge, false))
        {
            return false;
        }

        WatchRecord record = new() { Path = Chain.Empty, Token = Chain.Empty };
        if (_chains.TryCreate(path, out record.Path)
            && _chains.TryCreate(token, out record.Token)
            && _watches.TryAllocate(out watch))
        {
            _watches[watch] = record;
            return true;
        }

        watch = Link.None;
        _chains.Free(ref record.Path);
        _chains.Free(ref record.Token);
        _domains.Credit(domain, charge);
        return false;
    }

    private void Append(StoreConnection connection, int watch)
    {
        ref WatchRecord record = ref _watches[watch];
        record.Next = Link.None;
        record.Previous = connection.LastWatch;
        if (connection.LastWatch == Link.None)
        {
            connection.FirstWatch = watch;
        }
        else
        {
            _watches[connection.LastWatch].Next = watch;
        }

        connection.LastWatch = watch;
    }

    private void Unlink(StoreConnection connection, int watch)
    {
        ref WatchRecord record = ref _watches[watch];
        if (record.Previous == Link.None)
        {
            connection.FirstWatch = record.Next;
        }
        else
        {
            _watches[record.Previous].Next = record.Next;
        }

        if (record.Next == Link.None)
        {
            connection.LastWatch = record.Previous;
        }
        else
        {
            _watches[record.Next].Previous = record.Previous;
        }
    }
}
