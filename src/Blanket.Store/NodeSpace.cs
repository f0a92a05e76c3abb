using System;
using Blanket.Abi;

namespace Blanket.Store;

/// <summary>
/// The tree as a caller sees it: the real one, or a transaction's. Finding nodes with the caller's rights, making, changing and
/// removing them within its quotas, and announcing that to watches.
/// </summary>
internal sealed class NodeSpace
{
    private const int NodeHeaderSize = 24;
    private const int PermissionSize = 8;

    private readonly NodeTable _nodes;
    private readonly DomainTable _domains;
    private readonly PermissionTable _permissions;
    private readonly TransactionTable _transactions;
    private readonly WatchTable _watches;
    private readonly StoreQuotas _quotas;
    private readonly int _rootPermissions;

    /// <summary>The space over these tables.</summary>
    /// <param name="quotas">Limits of unprivileged domains.</param>
    /// <param name="rootPermissions">What the root's permissions are when its owner is destroyed; the caller's share passes.</param>
    /// <param name="nodes">The nodes.</param>
    /// <param name="domains">The domains.</param>
    /// <param name="permissions">The permission lists.</param>
    /// <param name="transactions">The open transactions.</param>
    /// <param name="watches">The watches.</param>
    internal NodeSpace(
        StoreQuotas quotas,
        int rootPermissions,
        NodeTable nodes,
        DomainTable domains,
        PermissionTable permissions,
        TransactionTable transactions,
        WatchTable watches)
    {
        _quotas = quotas;
        _rootPermissions = rootPermissions;
        _nodes = nodes;
        _domains = domains;
        _permissions = permissions;
        _transactions = transactions;
        _watches = watches;
    }

    /// <summary>The node of a path's ancestor, whatever the caller's rights: ENOENT; in a transaction also ENOSPC, ENOMEM.</summary>
    internal XenStoreError Open(in Caller caller, StorePath path, int level, out int node)
    {
        if (!caller.InTransaction)
        {
            node = _nodes.Find(path, level, Link.None);
            return node == Link.None ? XenStoreError.NotFound : XenStoreError.None;
        }

        XenStoreError error = _transactions.Look(caller, path, level, out node);
        if (error == XenStoreError.None && (_nodes[node].State & CopyState.Exists) == 0)
        {
            node = Link.None;
            error = XenStoreError.NotFound;
        }

        return error;
    }

    /// <summary>
    /// The node of a path, if the caller has all the rights asked for: ENOENT, EACCES. Whether there is a node is told only
    /// to a caller that has one of these rights on the nearest ancestor; others get EACCES.
    /// </summary>
    internal XenStoreError Open(in Caller caller, StorePath path, StoreAccess rights, out int node)
    {
        XenStoreError error = Open(caller, path, path.Depth, out node);
        if (IsExhausted(error))
        {
            return error;
        }

        if (error == XenStoreError.None)
        {
            if ((AccessOf(caller, node) & rights) == rights)
            {
                return XenStoreError.None;
            }

            node = Link.None;
            error = XenStoreError.AccessDenied;
        }

        XenStoreError ancestorError = OpenAncestor(caller, path, out int ancestor, out _);
        if (ancestorError != XenStoreError.None)
        {
            return ancestorError;
        }

        return (AccessOf(caller, ancestor) & rights) != 0 ? error : XenStoreError.AccessDenied;
    }

    /// <summary>
    /// Makes the node of a path that has none, and its missing ancestors: ENOSPC (quota), ENOMEM. They inherit the permissions of
    /// the nearest ancestor; an unprivileged domain owns what it makes.
    /// </summary>
    internal XenStoreError Create(in Caller caller, StorePath path, ReadOnlySpan<byte> value)
    {
        XenStoreError error = OpenAncestor(caller, path, out int parent, out int level);
        if (error != XenStoreError.None)
        {
            return error;
        }

        if (!caller.IsPrivileged && _domains[caller.Domain].NodeCount + path.Depth - level > _quotas.Nodes)
        {
            return XenStoreError.NoSpace;
        }

        int existing = level;
        while (level < path.Depth)
        {
            level++;
            error = CreateChild(caller, path, level, parent, level == path.Depth ? value : default, out int child);
            if (error != XenStoreError.None)
            {
                Undo(caller, path, existing, level - 1);
                return error;
            }

            parent = child;
        }

        Announce(caller, path, parent, Link.None);
        return XenStoreError.None;
    }

    /// <summary>Replaces a node's value: ENOSPC (quota), ENOMEM.</summary>
    internal XenStoreError SetValue(in Caller caller, StorePath path, int node, ReadOnlySpan<byte> value)
    {
        if (!MayGrow(caller, node, value.Length - _nodes[node].Value.Length))
        {
            return XenStoreError.NoSpace;
        }

        XenStoreError error = _nodes.SetValue(node, value, caller.IsPrivileged);
        if (error != XenStoreError.None)
        {
            return Fail(caller, error);
        }

        MarkChanged(node);
        Announce(caller, path, node, Link.None);
        return XenStoreError.None;
    }

    /// <summary>Replaces a node's permissions; the caller's share passes on success. ENOSPC (quota).</summary>
    internal XenStoreError SetPermissions(in Caller caller, StorePath path, int node, int permissions)
    {
        int former = _nodes[node].Permissions;
        if (!MayGrow(caller, node, (_permissions[permissions].Count - _permissions[former].Count) * PermissionSize))
        {
            return XenStoreError.NoSpace;
        }

        _permissions.Share(former);
        _nodes.SetPermissions(node, permissions);
        MarkChanged(node);
        Announce(caller, path, node, former);
        _permissions.Release(former);
        return XenStoreError.None;
    }

    /// <summary>
    /// Removes a node, not the root, and all below it, children first. Takes time in proportion to the nodes removed.
    /// In a transaction ENOSPC (quota) and ENOMEM.
    /// </summary>
    internal XenStoreError Remove(in Caller caller, StorePath path, int node)
    {
        if (caller.InTransaction)
        {
            return RemoveInTransaction(caller, path, node);
        }

        RemoveTree(path, node);
        return XenStoreError.None;
    }

    /// <summary>
    /// Removes all nodes of a domain together with everything below them. The root stays and becomes domain 0's,
    /// with the permissions that it had at first.
    /// </summary>
    internal void RemoveOwned(int domain, StorePath path)
    {
        while (_domains[domain].FirstOwned != Link.None)
        {
            int top = _domains[domain].FirstOwned;
            for (int node = _nodes[top].Parent; node != Link.None; node = _nodes[node].Parent)
            {
                top = _nodes[node].Account == domain ? node : top;
            }

            _nodes.LoadPath(top, path);
            if (path.Depth == 0)
            {
                _permissions.Share(_rootPermissions);
                _nodes.SetPermissions(top, _rootPermissions);
                MarkChanged(top);
            }
            else
            {
                RemoveTree(path, top);
            }
        }
    }

    private static bool IsExhausted(XenStoreError error) =>
        error == XenStoreError.NoMemory || error == XenStoreError.NoSpace;

    private StoreAccess AccessOf(in Caller caller, int node) =>
        _permissions.AccessOf(_nodes[node].Permissions, caller.Domain);

    /// <summary>The nearest ancestor that exists; the root for the root itself.</summary>
    private XenStoreError OpenAncestor(in Caller caller, StorePath path, out int ancestor, out int level)
    {
        level = path.Depth;
        XenStoreError error;
        do
        {
            level = level > 0 ? level - 1 : 0;
            error = Open(caller, path, level, out ancestor);
        }
        while (error == XenStoreError.NotFound && level > 0);

        return error;
    }

    private XenStoreError CreateChild(
        in Caller caller, StorePath path, int level, int parent, ReadOnlySpan<byte> value, out int child)
    {
        child = Link.None;
        int permissionCount = _permissions[_nodes[parent].Permissions].Count;
        if (!MayGrow(caller, parent, path.NameAt(level).Length + 1) || !IsSizeAllowed(caller, permissionCount, value.Length))
        {
            return XenStoreError.NoSpace;
        }

        ushort owner = caller.IsPrivileged ? _nodes.OwnerOf(parent) : caller.Domid;
        if (!_permissions.TryInherit(_nodes[parent].Permissions, owner, out int permissions))
        {
            return Fail(caller, XenStoreError.NoMemory);
        }

        XenStoreError error = caller.InTransaction
            ? CreateInTransaction(caller, path, level, parent, permissions, value, out child)
            : CreateInTree(caller, path, level, parent, permissions, value, out child);
        return error == XenStoreError.None ? error : Fail(caller, error);
    }

    private XenStoreError CreateInTree(
        in Caller caller, StorePath path, int level, int parent, int permissions, ReadOnlySpan<byte> value, out int child)
    {
        XenStoreError error = _nodes.Create(path, level, parent, permissions, caller.IsPrivileged, out child);
        if (error != XenStoreError.None)
        {
            _permissions.Release(permissions);
            return error;
        }

        error = _nodes.SetValue(child, value, caller.IsPrivileged);
        if (error != XenStoreError.None)
        {
            _nodes.Remove(child);
            return error;
        }

        _nodes[parent].Generation = _nodes.NextGeneration();
        return XenStoreError.None;
    }

    private XenStoreError CreateInTransaction(
        in Caller caller, StorePath path, int level, int parent, int permissions, ReadOnlySpan<byte> value, out int child)
    {
        XenStoreError error = _transactions.Look(caller, path, level, out child);
        if (error == XenStoreError.None)
        {
            error = _nodes.Occupy(child, permissions);
        }

        if (error != XenStoreError.None)
        {
            _permissions.Release(permissions);
            return error;
        }

        _transactions.MoveToEnd(caller.Transaction, child);
        error = _nodes.AddChildName(parent, path.NameAt(level));
        return error == XenStoreError.None ? _nodes.SetValue(child, value, caller.IsPrivileged) : error;
    }

    /// <summary>Takes back the nodes made below level <paramref name="existing"/>, down to level <paramref name="last"/>.</summary>
    private void Undo(in Caller caller, StorePath path, int existing, int last)
    {
        if (caller.InTransaction)
        {
            _transactions.Fail(caller.Transaction);
            return;
        }

        for (int level = last; level > existing; level--)
        {
            _nodes.Remove(_nodes.Find(path, level, Link.None));
        }
    }

    /// <summary>An error that leaves a transaction half-way makes it fail as a whole.</summary>
    private XenStoreError Fail(in Caller caller, XenStoreError error)
    {
        if (caller.InTransaction)
        {
            _transactions.Fail(caller.Transaction);
        }

        return error;
    }

    private bool MayGrow(in Caller caller, int node, int bytes)
    {
        ref NodeRecord record = ref _nodes[node];
        int content = record.Value.Length + _nodes.ChildBytesOf(node) + bytes;
        return IsSizeAllowed(caller, _permissions[record.Permissions].Count, content);
    }

    private bool IsSizeAllowed(in Caller caller, int permissionCount, int content) =>
        caller.IsPrivileged || NodeHeaderSize + (permissionCount * PermissionSize) + content < _quotas.NodeSize;

    private void MarkChanged(int node)
    {
        ref NodeRecord record = ref _nodes[node];
        record.Generation = _nodes.NextGeneration();
        if (record.IsCopy)
        {
            record.State |= CopyState.Modified;
        }
    }

    /// <summary>Tells watches that a node was made or changed; in a transaction when it commits.</summary>
    private void Announce(in Caller caller, StorePath path, int node, int former)
    {
        ref NodeRecord record = ref _nodes[node];
        if (record.IsCopy)
        {
            record.State = (record.State | CopyState.Event) & ~CopyState.EventIsExact;
            return;
        }

        int parent = record.Parent == Link.None ? node : record.Parent;
        _watches.Fire(path, new NodeRights(record.Permissions, _nodes[parent].Permissions, former));
    }

    private void RemoveTree(StorePath path, int top)
    {
        int node = top;
        while (true)
        {
            while (_nodes[node].FirstChild != Link.None)
            {
                node = _nodes[node].FirstChild;
            }

            ref NodeRecord record = ref _nodes[node];
            int parent = record.Parent;
            NodeRights rights = new(record.Permissions, _nodes[parent].Permissions, Link.None);
            if (node == top)
            {
                _watches.Fire(path, rights);
                _nodes.Remove(node);
                return;
            }

            _watches.FireExact(record.Path, record.PathHash, rights);
            _nodes.Remove(node);
            node = parent;
        }
    }

    private XenStoreError RemoveInTransaction(in Caller caller, StorePath path, int top)
    {
        int depth = path.Depth;
        int copy = top;
        _nodes[copy].FirstChild = 0;
        while (true)
        {
            ref NodeRecord record = ref _nodes[copy];
            if (record.FirstChild < record.Children.Length)
            {
                XenStoreError error = Descend(caller, path, ref copy);
                if (error != XenStoreError.None)
                {
                    return error;
                }

                continue;
            }

            bool isTop = path.Depth == depth;
            VacateCopy(caller, copy, !isTop);
            if (isTop)
            {
                break;
            }

            path.Pop();
            copy = _nodes.Find(path, path.Depth, caller.Transaction);
        }

        XenStoreError parentError = _transactions.Look(caller, path, depth - 1, out int parent);
        if (parentError == XenStoreError.None)
        {
            _nodes.RemoveChildName(parent, path.NameAt(depth));
        }

        return parentError;
    }

    /// <summary>Goes to the next child of a copy.</summary>
    private XenStoreError Descend(in Caller caller, StorePath path, ref int copy)
    {
        ref NodeRecord record = ref _nodes[copy];
        ReadOnlySpan<byte> name = _nodes.ReadChildName(copy, record.FirstChild);
        record.FirstChild += name.Length + 1;
        if (!path.TryPush(name))
        {
            return Fail(caller, XenStoreError.Invalid); // cannot be: the path was that long when the child was made
        }

        XenStoreError error = _transactions.Look(caller, path, path.Depth, out copy);
        if (error == XenStoreError.None)
        {
            _nodes[copy].FirstChild = 0;
        }

        return error;
    }

    /// <summary>Removes the node of a copy. It may be gone already, when it was removed in the tree before the transaction looked.</summary>
    private void VacateCopy(in Caller caller, int copy, bool eventIsExact)
    {
        ref NodeRecord record = ref _nodes[copy];
        if ((record.State & CopyState.Exists) == 0)
        {
            return;
        }

        if ((record.State & CopyState.Event) == 0 && eventIsExact)
        {
            record.State |= CopyState.EventIsExact;
        }
        else if (!eventIsExact)
        {
            record.State &= ~CopyState.EventIsExact;
        }

        record.State |= CopyState.Event;
        _nodes.Vacate(copy);
        _transactions.MoveToEnd(caller.Transaction, copy);
    }
}
