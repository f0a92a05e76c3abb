using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// A client in this image: backends, the domain builder, the command line's agent. Requests are carried out at once and in order,
/// with the rights of the client's domain. All members need the store's lock.
/// </summary>
public sealed class StoreClient : StoreConnection
{
    private const int EventsPerTurn = 64;

    private readonly NodeOperations _nodes;
    private readonly WatchOperations _watchOperations;
    private readonly TransactionTable _transactions;
    private readonly DomainTable _domains;
    private readonly ConnectionTable _connections;
    private readonly EventTable _events;
    private readonly StoreWatcher?[] _watchers;
    private readonly ulong[] _serials;
    private readonly int[] _freeSlots;
    private int _freeCount;
    private readonly byte[] _payload = new byte[XenStoreWire.PayloadMax];

    internal StoreClient(
        ushort domid,
        int maximumWatches,
        NodeOperations nodes,
        WatchOperations watches,
        TransactionTable transactions,
        DomainTable domains,
        ConnectionTable connections,
        EventTable events)
        : base(domid)
    {
        _nodes = nodes;
        _watchOperations = watches;
        _transactions = transactions;
        _domains = domains;
        _connections = connections;
        _events = events;
        _watchers = new StoreWatcher?[maximumWatches];
        _serials = new ulong[maximumWatches];
        _freeSlots = new int[maximumWatches];
        ClearSlots();
    }

    /// <summary>READ. ENOENT, EACCES, EINVAL (path); E2BIG when the value does not fit, <paramref name="length"/> is then its length.</summary>
    public XenStoreError Read(ReadOnlySpan<byte> path, Span<byte> value, out int length, uint transaction = 0)
    {
        length = 0;
        XenStoreError error = Identify(transaction, out Caller caller);
        return error == XenStoreError.None ? _nodes.Read(caller, path, value, out length) : error;
    }

    /// <summary>READ of a decimal number. EINVAL also when the value is none or above <paramref name="maximum"/>.</summary>
    public XenStoreError ReadNumber(ReadOnlySpan<byte> path, out ulong number, ulong maximum = ulong.MaxValue, uint transaction = 0)
    {
        number = 0;
        Span<byte> text = stackalloc byte[PathBuilder.DecimalMax];
        XenStoreError error = Read(path, text, out int length, transaction);
        if (error == XenStoreError.TooBig)
        {
            return XenStoreError.Invalid;
        }

        return error == XenStoreError.None && !DecimalNumber.TryParse(text[..length], maximum, out number)
            ? XenStoreError.Invalid
            : error;
    }

    /// <summary>WRITE, making the node and its ancestors when missing. EACCES, EINVAL (path), ENOSPC (quota), ENOMEM; E2BIG above 4,096 bytes.</summary>
    public XenStoreError Write(ReadOnlySpan<byte> path, ReadOnlySpan<byte> value, uint transaction = 0)
    {
        if (value.Length > XenStoreWire.PayloadMax)
        {
            return XenStoreError.TooBig;
        }

        XenStoreError error = Identify(transaction, out Caller caller);
        return error == XenStoreError.None ? _nodes.Write(caller, path, value) : error;
    }

    /// <summary>WRITE of a decimal number.</summary>
    public XenStoreError WriteNumber(ReadOnlySpan<byte> path, ulong number, uint transaction = 0)
    {
        PathBuilder text = new(stackalloc byte[PathBuilder.DecimalMax]);
        text.AppendDecimal(number);
        return Write(path, text.Text, transaction);
    }

    /// <summary>MKDIR. EACCES, EINVAL (path), ENOSPC (quota), ENOMEM.</summary>
    public XenStoreError MakeDirectory(ReadOnlySpan<byte> path, uint transaction = 0)
    {
        XenStoreError error = Identify(transaction, out Caller caller);
        return error == XenStoreError.None ? _nodes.MakeDirectory(caller, path) : error;
    }

    /// <summary>RM with everything below. No error when there is no such node but its parent; ENOENT without parent, EACCES, EINVAL (path, root).</summary>
    public XenStoreError Remove(ReadOnlySpan<byte> path, uint transaction = 0)
    {
        XenStoreError error = Identify(transaction, out Caller caller);
        return error == XenStoreError.None ? _nodes.Remove(caller, path) : error;
    }

    /// <summary>
    /// DIRECTORY: children's names in order of creation, each with a terminator (see <see cref="TerminatedStrings"/>).
    /// ENOENT, EACCES, EINVAL (path); E2BIG when they do not fit, <paramref name="length"/> is then their length.
    /// </summary>
    public XenStoreError Directory(ReadOnlySpan<byte> path, Span<byte> names, out int length, uint transaction = 0)
    {
        length = 0;
        XenStoreError error = Identify(transaction, out Caller caller);
        return error == XenStoreError.None ? _nodes.ReadDirectory(caller, path, names, out length) : error;
    }

    /// <summary>Whether there is a node that the client may read.</summary>
    public bool Exists(ReadOnlySpan<byte> path, uint transaction = 0)
    {
        XenStoreError error = Read(path, default, out _, transaction);
        return error == XenStoreError.None || error == XenStoreError.TooBig;
    }

    /// <summary>GET_PERMS. ENOENT, EACCES, EINVAL (path); E2BIG when the entries do not fit, <paramref name="count"/> is then their number.</summary>
    public XenStoreError GetPermissions(ReadOnlySpan<byte> path, Span<StorePermission> entries, out int count, uint transaction = 0)
    {
        count = 0;
        XenStoreError error = Identify(transaction, out Caller caller);
        return error == XenStoreError.None ? _nodes.ReadPermissions(caller, path, entries, out count) : error;
    }

    /// <summary>
    /// SET_PERMS of a node, @introduceDomain or @releaseDomain; the first entry is the owner's. ENOENT (node, or no such owner),
    /// EACCES, EPERM, EINVAL, ENOSPC (more than 15 entries, or quota), ENOMEM.
    /// </summary>
    public XenStoreError SetPermissions(ReadOnlySpan<byte> path, ReadOnlySpan<StorePermission> entries, uint transaction = 0)
    {
        XenStoreError error = Identify(transaction, out Caller caller);
        return error == XenStoreError.None ? _nodes.SetPermissions(caller, path, entries) : error;
    }

    /// <summary>TRANSACTION_START. ENOSPC (quota), ENOMEM.</summary>
    public XenStoreError StartTransaction(out uint transaction)
    {
        transaction = 0;
        return IsOpen ? _transactions.Start(this, out transaction) : XenStoreError.Invalid;
    }

    /// <summary>TRANSACTION_END: ENOENT; when committing EAGAIN (repeat it all), ENOSPC (quota), ENOMEM. It is over in any case.</summary>
    public XenStoreError EndTransaction(uint transaction, bool commit)
    {
        XenStoreError error = Identify(transaction, out Caller caller);
        if (error != XenStoreError.None || !caller.InTransaction)
        {
            return XenStoreError.NotFound;
        }

        if (commit)
        {
            return _transactions.Commit(this, caller.Transaction);
        }

        _transactions.Abandon(this, caller.Transaction);
        return XenStoreError.None;
    }

    /// <summary>
    /// WATCH. The watcher is told once right away and then of every change at or below the path.
    /// EINVAL (path), EEXIST (same path and token), E2BIG (quota, or more watches than the client was made for), ENOMEM.
    /// </summary>
    public XenStoreError Watch(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token, StoreWatcher watcher)
    {
        if (!IsOpen)
        {
            return XenStoreError.Invalid;
        }

        if (_freeCount == 0)
        {
            return XenStoreError.TooBig;
        }

        int slot = _freeSlots[_freeCount - 1];
        XenStoreError error = _watchOperations.Add(this, path, token, WatchRecord.AnyDepth, slot, out ulong serial);
        if (error == XenStoreError.None)
        {
            _freeCount--;
            _watchers[slot] = watcher;
            _serials[slot] = serial;
        }

        return error;
    }

    /// <summary>UNWATCH: ENOENT. The watcher is not told anything any more.</summary>
    public XenStoreError Unwatch(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token)
    {
        if (!IsOpen)
        {
            return XenStoreError.NotFound;
        }

        XenStoreError error = _watchOperations.Remove(this, path, token, out int slot);
        if (error == XenStoreError.None)
        {
            _watchers[slot] = null;
            _serials[slot] = 0;
            _freeSlots[_freeCount] = slot;
            _freeCount++;
        }

        return error;
    }

    /// <summary>Ends the client with its watches and transactions; later requests get EINVAL or ENOENT.</summary>
    public void Close()
    {
        if (IsOpen)
        {
            Stop();
            _domains[Domain].Clients--;
            _connections.Close(this);
        }
    }

    /// <inheritdoc/>
    internal override void Stop()
    {
        _watchOperations.Reset(this);
        _events.Clear(this);
        ClearSlots();
    }

    /// <inheritdoc/>
    internal override bool Serve()
    {
        for (int i = 0; i < EventsPerTurn && EventCount > 0; i++)
        {
            ref EventRecord record = ref _events[FirstEvent];
            int slot = record.WatcherSlot;
            ulong serial = record.WatchSerial;
            int length = _events.Take(this, _payload, out int ticket);
            _events.Taken(ticket);
            StoreWatcher? watcher = _serials[slot] == serial ? _watchers[slot] : null;
            if (watcher != null)
            {
                Deliver(watcher, new ReadOnlySpan<byte>(_payload, 0, length));
            }
        }

        return EventCount > 0;
    }

    private static void Deliver(StoreWatcher watcher, ReadOnlySpan<byte> payload)
    {
        TerminatedStrings strings = new(payload);
        if (strings.TryTake(out ReadOnlySpan<byte> path) && strings.TryTake(out ReadOnlySpan<byte> token))
        {
            watcher.Fired(path, token);
        }
    }

    private bool IsOpen => Slot != Link.None;

    private void ClearSlots()
    {
        _freeCount = _watchers.Length;
        for (int slot = 0; slot < _watchers.Length; slot++)
        {
            _watchers[slot] = null;
            _serials[slot] = 0;
            _freeSlots[slot] = _watchers.Length - 1 - slot;
        }
    }

    private XenStoreError Identify(uint transactionId, out Caller caller)
    {
        caller = default;
        if (!IsOpen)
        {
            return XenStoreError.Invalid;
        }

        int transaction = transactionId == 0 ? Link.None : _transactions.Find(this, transactionId);
        if (transactionId != 0 && transaction == Link.None)
        {
            return XenStoreError.NotFound;
        }

        caller = new Caller(Domain, Domid, _domains[Domain].IsPrivileged, transaction);
        return XenStoreError.None;
    }
}
