using System;
using Blanket.Abi;

namespace Blanket.Store;

/// <summary>The requests about nodes, by path as clients write it; what ring connections and in-process clients share.</summary>
internal sealed class NodeOperations
{
    private readonly NodeSpace _space;
    private readonly NodeTable _nodes;
    private readonly DomainTable _domains;
    private readonly PermissionTable _permissions;
    private readonly SpecialPaths _specials;
    private readonly StoreQuotas _quotas;
    private readonly StorePath _path;

    /// <summary>Operations on a space.</summary>
    internal NodeOperations(
        StoreQuotas quotas,
        NodeSpace space,
        NodeTable nodes,
        DomainTable domains,
        PermissionTable permissions,
        SpecialPaths specials,
        PathHash hash)
    {
        _quotas = quotas;
        _space = space;
        _nodes = nodes;
        _domains = domains;
        _permissions = permissions;
        _specials = specials;
        _path = new StorePath(hash);
    }

    /// <summary>READ: the value. E2BIG when it does not fit; <paramref name="length"/> is then its length.</summary>
    internal XenStoreError Read(in Caller caller, ReadOnlySpan<byte> path, Span<byte> value, out int length)
    {
        length = 0;
        XenStoreError error = Open(caller, path, StoreAccess.Read, out int node);
        if (error != XenStoreError.None)
        {
            return error;
        }

        length = _nodes[node].Value.Length;
        if (length > value.Length)
        {
            return XenStoreError.TooBig;
        }

        _nodes.ReadValue(node, value);
        return XenStoreError.None;
    }

    /// <summary>WRITE: sets the value, making the node and its ancestors when missing.</summary>
    internal XenStoreError Write(in Caller caller, ReadOnlySpan<byte> path, ReadOnlySpan<byte> value)
    {
        XenStoreError error = Open(caller, path, StoreAccess.Write, out int node);
        if (error == XenStoreError.NotFound)
        {
            return _space.Create(caller, _path, value);
        }

        return error == XenStoreError.None ? _space.SetValue(caller, _path, node, value) : error;
    }

    /// <summary>MKDIR: makes the node and its ancestors when missing.</summary>
    internal XenStoreError MakeDirectory(in Caller caller, ReadOnlySpan<byte> path)
    {
        XenStoreError error = Open(caller, path, StoreAccess.Write, out _);
        return error == XenStoreError.NotFound ? _space.Create(caller, _path, default) : error;
    }

    /// <summary>RM: removes the node and all below it; it need not exist, but its parent must. EINVAL for the root.</summary>
    internal XenStoreError Remove(in Caller caller, ReadOnlySpan<byte> path)
    {
        XenStoreError error = Open(caller, path, StoreAccess.Write, out int node);
        if (error == XenStoreError.NotFound)
        {
            return _space.Open(caller, _path, _path.Depth - 1, out _);
        }

        if (error != XenStoreError.None)
        {
            return error;
        }

        return _path.Depth == 0 ? XenStoreError.Invalid : _space.Remove(caller, _path, node);
    }

    /// <summary>DIRECTORY: all children's names, each with a terminator. E2BIG when they do not fit; <paramref name="length"/> is then their length.</summary>
    internal XenStoreError ReadDirectory(in Caller caller, ReadOnlySpan<byte> path, Span<byte> names, out int length)
    {
        length = 0;
        XenStoreError error = Open(caller, path, StoreAccess.Read, out int node);
        if (error != XenStoreError.None)
        {
            return error;
        }

        length = _nodes.ChildBytesOf(node);
        if (length > names.Length)
        {
            return XenStoreError.TooBig;
        }

        _nodes.ReadChildNames(node, 0, names);
        return XenStoreError.None;
    }

    /// <summary>DIRECTORY_PART: as many whole names as fit from a byte offset of the list on, the node's generation, and whether the list ends there.</summary>
    internal XenStoreError ReadDirectoryPart(
        in Caller caller, ReadOnlySpan<byte> path, int offset, Span<byte> names, out int length, out ulong generation, out bool isEnd)
    {
        length = 0;
        generation = 0;
        isEnd = false;
        XenStoreError error = Open(caller, path, StoreAccess.Read, out int node);
        if (error != XenStoreError.None)
        {
            return error;
        }

        int total = _nodes.ChildBytesOf(node);
        generation = _nodes[node].Generation;
        length = offset < total ? _nodes.ReadChildNames(node, offset, names) : 0;
        isEnd = offset >= total - length;
        return XenStoreError.None;
    }

    /// <summary>GET_PERMS: the entries, the owner's first. E2BIG when they do not fit; <paramref name="count"/> is then their number.</summary>
    internal XenStoreError ReadPermissions(in Caller caller, ReadOnlySpan<byte> path, Span<StorePermission> entries, out int count)
    {
        count = 0;
        XenStoreError error = Open(caller, path, StoreAccess.Read, out int node);
        if (error != XenStoreError.None)
        {
            return error;
        }

        ref PermissionList list = ref _permissions[_nodes[node].Permissions];
        count = list.Count;
        if (count > entries.Length)
        {
            return XenStoreError.TooBig;
        }

        for (int i = 0; i < count; i++)
        {
            entries[i] = new StorePermission(list.Entries[i].Domid, list.Entries[i].Access);
        }

        return XenStoreError.None;
    }

    /// <summary>
    /// SET_PERMS of a node or a special path: EINVAL (none), ENOSPC (too many), ENOENT (no such owner or node), EACCES (not the owner),
    /// EPERM (an unprivileged domain gives the node away).
    /// </summary>
    internal XenStoreError SetPermissions(in Caller caller, ReadOnlySpan<byte> path, ReadOnlySpan<StorePermission> entries)
    {
        if (entries.IsEmpty)
        {
            return XenStoreError.Invalid;
        }

        if (entries.Length > PermissionList.Maximum || (!caller.IsPrivileged && entries.Length > _quotas.Permissions))
        {
            return XenStoreError.NoSpace;
        }

        if (_domains.Find(entries[0].Domid) == Link.None)
        {
            return XenStoreError.NotFound;
        }

        if (!_permissions.TryCreate(entries, out int list))
        {
            return XenStoreError.NoMemory;
        }

        XenStoreError error = !path.IsEmpty && path[0] == (byte)'@'
            ? SetSpecialPermissions(caller, path, list)
            : SetNodePermissions(caller, path, list);
        if (error != XenStoreError.None)
        {
            _permissions.Release(list);
        }

        return error;
    }

    private XenStoreError SetNodePermissions(in Caller caller, ReadOnlySpan<byte> path, int list)
    {
        XenStoreError error = Open(caller, path, StoreAccess.Write | StoreAccess.Owner, out int node);
        if (error != XenStoreError.None)
        {
            return error;
        }

        return !caller.IsPrivileged && _permissions.OwnerOf(list) != _nodes.OwnerOf(node)
            ? XenStoreError.NotPermitted
            : _space.SetPermissions(caller, _path, node, list);
    }

    private XenStoreError SetSpecialPermissions(in Caller caller, ReadOnlySpan<byte> name, int list)
    {
        if (!SpecialPaths.TryParse(name, out SpecialPath path))
        {
            return XenStoreError.Invalid;
        }

        StoreAccess needed = StoreAccess.Write | StoreAccess.Owner;
        if ((_permissions.AccessOf(_specials.PermissionsOf(path), caller.Domain) & needed) != needed)
        {
            return XenStoreError.AccessDenied;
        }

        _specials.SetPermissions(path, list);
        return XenStoreError.None;
    }

    private XenStoreError Open(in Caller caller, ReadOnlySpan<byte> path, StoreAccess rights, out int node)
    {
        node = Link.None;
        return _path.TryAssign(path, caller.Domid, _quotas.PathLength)
            ? _space.Open(caller, _path, rights, out node)
            : XenStoreError.Invalid;
    }
}
