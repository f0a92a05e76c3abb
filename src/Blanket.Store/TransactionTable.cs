using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// Open transactions. A transaction sees a node as it was when it first looked at it, and its own changes.
/// It commits when no node that it looked at has changed since (generations are compared), else it ends with EAGAIN.
/// </summary>
internal sealed class TransactionTable
{
    private readonly Slab<TransactionRecord> _transactions;
    private readonly NodeTable _nodes;
    private readonly DomainTable _domains;
    private readonly WatchTable _watches;
    private readonly StoreQuotas _quotas;
    private readonly StorePath _path;

    /// <summary>No transactions.</summary>
    internal TransactionTable(
        StoreCapacity capacity, StoreQuotas quotas, NodeTable nodes, DomainTable domains, WatchTable watches, PathHash hash)
    {
        _transactions = new Slab<TransactionRecord>(capacity.Transactions);
        _quotas = quotas;
        _nodes = nodes;
        _domains = domains;
        _watches = watches;
        _path = new StorePath(hash);
    }

    /// <summary>Open transactions.</summary>
    internal int Count => _transactions.Used;

    /// <summary>Starts a transaction: ENOSPC (quota), ENOMEM.</summary>
    internal XenStoreError Start(StoreConnection connection, out uint id)
    {
        id = 0;
        ref DomainRecord domain = ref _domains[connection.Domain];
        if (!domain.IsPrivileged && domain.TransactionCount >= _quotas.Transactions)
        {
            return XenStoreError.NoSpace;
        }

        if (!_domains.TryCharge(connection.Domain, TransactionRecord.Footprint, false))
        {
            return XenStoreError.NoMemory;
        }

        if (!_transactions.TryAllocate(out int transaction))
        {
            _domains.Credit(connection.Domain, TransactionRecord.Footprint);
            return XenStoreError.NoMemory;
        }

        id = UnusedId(connection);
        _transactions[transaction] = new TransactionRecord
        {
            Id = id,
            Next = connection.FirstTransaction,
            Previous = Link.None,
            FirstCopy = Link.None,
            LastCopy = Link.None,
        };
        if (connection.FirstTransaction != Link.None)
        {
            _transactions[connection.FirstTransaction].Previous = transaction;
        }

        connection.FirstTransaction = transaction;
        domain.TransactionCount++;
        return XenStoreError.None;
    }

    /// <summary>The transaction that a client calls <paramref name="id"/>, or <see cref="Link.None"/>.</summary>
    internal int Find(StoreConnection connection, uint id)
    {
        int transaction = connection.FirstTransaction;
        while (transaction != Link.None && _transactions[transaction].Id != id)
        {
            transaction = _transactions[transaction].Next;
        }

        return transaction;
    }

    /// <summary>Commits a transaction: EAGAIN (conflict), ENOSPC (quota of nodes), ENOMEM (it has failed before). It is over in any case.</summary>
    internal XenStoreError Commit(StoreConnection connection, int transaction)
    {
        XenStoreError error = Validate(connection.Domain, transaction);
        if (error == XenStoreError.None)
        {
            Apply(transaction);
        }

        Abandon(connection, transaction);
        return error;
    }

    /// <summary>Ends a transaction without a trace.</summary>
    internal void Abandon(StoreConnection connection, int transaction)
    {
        ref TransactionRecord record = ref _transactions[transaction];
        while (record.FirstCopy != Link.None)
        {
            int copy = record.FirstCopy;
            Unlink(transaction, copy);
            _nodes.Free(copy);
        }

        if (record.Previous == Link.None)
        {
            connection.FirstTransaction = record.Next;
        }
        else
        {
            _transactions[record.Previous].Next = record.Next;
        }

        if (record.Next != Link.None)
        {
            _transactions[record.Next].Previous = record.Previous;
        }

        _domains[connection.Domain].TransactionCount--;
        _domains.Credit(connection.Domain, TransactionRecord.Footprint);
        _transactions.Free(transaction);
    }

    /// <summary>Ends all transactions of a connection without a trace.</summary>
    internal void AbandonAll(StoreConnection connection)
    {
        while (connection.FirstTransaction != Link.None)
        {
            Abandon(connection, connection.FirstTransaction);
        }
    }

    /// <summary>The transaction's copy of a path's ancestor, made on the first look: ENOSPC (quota), ENOMEM; both fail the transaction.</summary>
    internal XenStoreError Look(in Caller caller, StorePath path, int level, out int copy)
    {
        copy = _nodes.Find(path, level, caller.Transaction);
        if (copy != Link.None)
        {
            return XenStoreError.None;
        }

        ref TransactionRecord record = ref _transactions[caller.Transaction];
        XenStoreError error = !caller.IsPrivileged && record.CopyCount >= _quotas.TransactionNodes
            ? XenStoreError.NoSpace
            : _nodes.CreateCopy(path, level, caller.Transaction, caller.Domain, out copy);
        if (error != XenStoreError.None)
        {
            record.Failed = true;
            return error;
        }

        Append(caller.Transaction, copy);
        return XenStoreError.None;
    }

    /// <summary>The transaction made or removed the node of a copy: its commit comes after those of all copies so far.</summary>
    internal void MoveToEnd(int transaction, int copy)
    {
        Unlink(transaction, copy);
        Append(transaction, copy);
    }

    /// <summary>The transaction cannot be committed any more.</summary>
    internal void Fail(int transaction) => _transactions[transaction].Failed = true;

    private uint UnusedId(StoreConnection connection)
    {
        do
        {
            connection.LastTransactionId = unchecked(connection.LastTransactionId + 1);
        }
        while (connection.LastTransactionId == 0 || Find(connection, connection.LastTransactionId) != Link.None);

        return connection.LastTransactionId;
    }

    private XenStoreError Validate(int domain, int transaction)
    {
        ref TransactionRecord record = ref _transactions[transaction];
        if (record.Failed)
        {
            return XenStoreError.NoMemory;
        }

        int growth = 0;
        for (int copy = record.FirstCopy; copy != Link.None; copy = _nodes[copy].Next)
        {
            int original = _nodes.FindOriginal(copy);
            ulong generation = original == Link.None ? NodeRecord.NoGeneration : _nodes[original].Generation;
            if (generation != _nodes[copy].BaseGeneration || IsOwnerGone(copy))
            {
                return XenStoreError.Again;
            }

            growth += OwnedAfter(copy, domain) - (original != Link.None && _nodes[original].Account == domain ? 1 : 0);
        }

        ref DomainRecord owner = ref _domains[domain];
        return growth > 0 && !owner.IsPrivileged && owner.NodeCount + growth > _quotas.Nodes
            ? XenStoreError.NoSpace
            : XenStoreError.None;
    }

    /// <summary>Whether the transaction gave a node to a domain that has been destroyed since.</summary>
    private bool IsOwnerGone(int copy) =>
        (_nodes[copy].State & (CopyState.Exists | CopyState.Modified)) == (CopyState.Exists | CopyState.Modified)
        && !_nodes.IsOwnerAlive(copy);

    /// <summary>1 when the node of a copy will be the domain's own, else 0.</summary>
    private int OwnedAfter(int copy, int domain) =>
        (_nodes[copy].State & CopyState.Exists) != 0 && _nodes.OwnerOf(copy) == _domains[domain].Domid ? 1 : 0;

    /// <summary>
    /// Carries all changes over to the tree. Parents were made before their children and removed after them,
    /// and the list has that order. Nothing here needs memory, so nothing can fail half-way.
    /// </summary>
    private void Apply(int transaction)
    {
        int next;
        for (int copy = _transactions[transaction].FirstCopy; copy != Link.None; copy = next)
        {
            next = _nodes[copy].Next;
            if ((_nodes[copy].State & CopyState.Modified) != 0)
            {
                Apply(transaction, copy);
            }
        }
    }

    private void Apply(int transaction, int copy)
    {
        int original = _nodes.FindOriginal(copy);
        if ((_nodes[copy].State & CopyState.Exists) == 0)
        {
            if (original != Link.None)
            {
                _nodes.LoadPath(copy, _path);
                Announce(copy, new NodeRights(Link.None, ParentPermissions(), _nodes[copy].BasePermissions));
                _nodes.Remove(original);
            }
        }
        else if (original != Link.None)
        {
            _nodes.LoadPath(copy, _path);
            _nodes.MoveToOriginal(copy, original);
            Announce(copy, new NodeRights(_nodes[original].Permissions, ParentPermissions(), _nodes[copy].BasePermissions));
        }
        else
        {
            CopyState state = _nodes[copy].State;
            _nodes.LoadPath(copy, _path);
            Unlink(transaction, copy);
            _nodes.Adopt(copy, _nodes.Find(_path, _path.Depth - 1, Link.None));
            Announce(copy, state, new NodeRights(_nodes[copy].Permissions, ParentPermissions(), Link.None));
        }
    }

    /// <summary>Permissions of the parent of <see cref="_path"/>; the root is its own parent.</summary>
    private int ParentPermissions()
    {
        int parent = _nodes.Find(_path, _path.Depth == 0 ? 0 : _path.Depth - 1, Link.None);
        return parent == Link.None ? Link.None : _nodes[parent].Permissions;
    }

    private void Announce(int copy, NodeRights rights) => Announce(copy, _nodes[copy].State, rights);

    private void Announce(int node, CopyState state, NodeRights rights)
    {
        if ((state & CopyState.Event) == 0)
        {
            return;
        }

        if ((state & CopyState.EventIsExact) != 0)
        {
            _watches.FireExact(_nodes[node].Path, _nodes[node].PathHash, rights);
        }
        else
        {
            _watches.Fire(_path, rights);
        }
    }

    private void Append(int transaction, int copy)
    {
        ref TransactionRecord record = ref _transactions[transaction];
        ref NodeRecord node = ref _nodes[copy];
        node.Next = Link.None;
        node.Previous = record.LastCopy;
        if (record.LastCopy == Link.None)
        {
            record.FirstCopy = copy;
        }
        else
        {
            _nodes[record.LastCopy].Next = copy;
        }

        record.LastCopy = copy;
        record.CopyCount++;
    }

    private void Unlink(int transaction, int copy)
    {
        ref TransactionRecord record = ref _transactions[transaction];
        ref NodeRecord node = ref _nodes[copy];
        if (node.Previous == Link.None)
        {
            record.FirstCopy = node.Next;
        }
        else
        {
            _nodes[node.Previous].Next = node.Next;
        }

        if (node.Next == Link.None)
        {
            record.LastCopy = node.Previous;
        }
        else
        {
            _nodes[node.Next].Previous = node.Previous;
        }

        record.CopyCount--;
    }
}
