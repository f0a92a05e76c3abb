using System;
using Blanket.Abi;

namespace Blanket.Store;

/// <summary>WATCH, UNWATCH and RESET_WATCHES.</summary>
internal sealed class WatchOperations
{
    private readonly WatchTable _watches;
    private readonly TransactionTable _transactions;
    private readonly StoreQuotas _quotas;
    private readonly StorePath _path;

    /// <summary>Operations on a table.</summary>
    internal WatchOperations(StoreQuotas quotas, WatchTable watches, TransactionTable transactions, PathHash hash)
    {
        _quotas = quotas;
        _watches = watches;
        _transactions = transactions;
        _path = new StorePath(hash);
    }

    /// <summary>
    /// Sets up a watch on a path or a special name, and queues its first event behind the reply:
    /// EINVAL, EEXIST, E2BIG (quota), ENOMEM.
    /// </summary>
    /// <param name="connection">Who watches.</param>
    /// <param name="path">Path, absolute or relative, or a special name that begins with @.</param>
    /// <param name="token">What events carry; no zero bytes.</param>
    /// <param name="depth">Levels below the path, or <see cref="WatchRecord.AnyDepth"/>; for a special name at most 1.</param>
    /// <param name="watcherSlot">Where an in-process client keeps the watcher.</param>
    /// <param name="serial">Serial number of the watch.</param>
    internal XenStoreError Add(
        StoreConnection connection, ReadOnlySpan<byte> path, ReadOnlySpan<byte> token, int depth, int watcherSlot, out ulong serial)
    {
        serial = 0;
        if (token.IndexOf((byte)0) >= 0 || !TryResolve(connection, path, out ReadOnlySpan<byte> absolute, out ulong hash))
        {
            return XenStoreError.Invalid;
        }

        bool isSpecial = path[0] == (byte)'@';
        if (isSpecial && depth > 1)
        {
            return XenStoreError.Invalid;
        }

        bool isRelative = !isSpecial && path[0] != (byte)'/';
        int prefix = isRelative ? absolute.Length - path.Length - 1 : 0;
        XenStoreError error = _watches.Add(connection, absolute, hash, token, prefix, depth, watcherSlot, out int watch);
        if (error != XenStoreError.None)
        {
            return error;
        }

        connection.EventsBeforeReply = connection.EventCount;
        if (!_watches.TryFireFirst(watch))
        {
            _watches.Remove(watch);
            return XenStoreError.NoMemory;
        }

        serial = _watches[watch].Serial;
        return XenStoreError.None;
    }

    /// <summary>Ends a watch: ENOENT.</summary>
    internal XenStoreError Remove(StoreConnection connection, ReadOnlySpan<byte> path, ReadOnlySpan<byte> token, out int watcherSlot)
    {
        watcherSlot = Link.None;
        if (!TryResolve(connection, path, out ReadOnlySpan<byte> absolute, out ulong hash))
        {
            return XenStoreError.NotFound;
        }

        int watch = _watches.Find(connection, absolute, hash, token);
        if (watch == Link.None)
        {
            return XenStoreError.NotFound;
        }

        watcherSlot = _watches[watch].WatcherSlot;
        _watches.Remove(watch);
        return XenStoreError.None;
    }

    /// <summary>Ends all watches and transactions of a connection.</summary>
    internal void Reset(StoreConnection connection)
    {
        _watches.RemoveAll(connection);
        _transactions.AbandonAll(connection);
    }

    private bool TryResolve(StoreConnection connection, ReadOnlySpan<byte> path, out ReadOnlySpan<byte> absolute, out ulong hash)
    {
        if (!path.IsEmpty && path[0] == (byte)'@')
        {
            absolute = path;
            hash = _watches.SpecialHash(path);
            return path.Length <= XenStoreWire.RelativePathMax && path.IndexOf((byte)0) < 0;
        }

        bool valid = _path.TryAssign(path, connection.Domid, _quotas.PathLength);
        absolute = valid ? _path.Text : default;
        hash = valid ? _path.HashAt(_path.Depth) : 0;
        return valid;
    }
}
