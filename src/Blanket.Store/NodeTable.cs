using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// The records of all nodes and of the copies that open transactions made of them: allocation, charging, links,
/// and finding by path. It knows nothing of permissions' meaning, watches or quotas of numbers.
/// </summary>
internal sealed class NodeTable
{
    private readonly Slab<NodeRecord> _records;
    private readonly HashIndex<NodeRecord> _byPath;
    private readonly ByteChains _chains;
    private readonly DomainTable _domains;
    private readonly PermissionTable _permissions;
    private readonly byte[] _name = new byte[StorePath.Capacity];
    private ulong _generation;

    /// <summary>An empty table.</summary>
    internal NodeTable(StoreCapacity capacity, ByteChains chains, DomainTable domains, PermissionTable permissions)
    {
        _records = new Slab<NodeRecord>(capacity.Nodes);
        _byPath = new HashIndex<NodeRecord>(_records, capacity.HashBits);
        _chains = chains;
        _domains = domains;
        _permissions = permissions;
    }

    /// <summary>Nodes and copies.</summary>
    internal int Count => _records.Used;

    /// <summary>A record.</summary>
    internal ref NodeRecord this[int node] => ref _records[node];

    /// <summary>A generation that no node has had.</summary>
    internal ulong NextGeneration() => ++_generation;

    /// <summary>The node (or, in a transaction, the copy) of a path's ancestor at a level, or <see cref="Link.None"/>.</summary>
    internal int Find(StorePath path, int level, int transaction)
    {
        int node = _byPath.First(NodeRecord.KeyOf(path.HashAt(level), transaction));
        while (node != Link.None
            && (_records[node].Transaction != transaction || !_chains.AreEqual(_records[node].Path, path.At(level))))
        {
            node = _byPath.Next(node);
        }

        return node;
    }

    /// <summary>The node of the tree that a copy was made of, or <see cref="Link.None"/> when there is none now.</summary>
    internal int FindOriginal(int copy)
    {
        int node = _byPath.First(NodeRecord.KeyOf(_records[copy].PathHash, Link.None));
        while (node != Link.None
            && (_records[node].IsCopy || !_chains.AreEqual(_records[node].Path, _records[copy].Path)))
        {
            node = _byPath.Next(node);
        }

        return node;
    }

    /// <summary>Bytes of the names of a node's children, each with a terminator.</summary>
    internal int ChildBytesOf(int node)
    {
        ref NodeRecord record = ref _records[node];
        return record.IsCopy ? record.Children.Length : record.ChildBytes;
    }

    /// <summary>Domain number of a node's owner.</summary>
    internal ushort OwnerOf(int node) => _permissions.OwnerOf(_records[node].Permissions);

    /// <summary>Whether a node's owner still is the domain that the node was given to.</summary>
    internal bool IsOwnerAlive(int node) => _permissions.IsOwnerAlive(_records[node].Permissions);

    /// <summary>Whether a node is charged what it takes.</summary>
    internal bool IsChargedRight(int node) => _records[node].Charged == FootprintOf(_records[node]);

    /// <summary>Copies bytes of a value; returns how many.</summary>
    internal int ReadValue(int node, Span<byte> destination) => _chains.Read(_records[node].Value, 0, destination);

    /// <summary>
    /// Copies children's names, each with a terminator, from a byte offset of the whole list on: as many whole names as fit.
    /// Returns their bytes. An offset inside a name begins with the rest of that name.
    /// </summary>
    internal int ReadChildNames(int node, int offset, Span<byte> destination) =>
        _records[node].IsCopy
            ? ReadCopiedNames(_records[node].Children, offset, destination)
            : ReadLinkedNames(node, offset, destination);

    /// <summary>Puts a node's path where its ancestors can be found by.</summary>
    internal void LoadPath(int node, StorePath path) => path.Assign(_chains, _records[node].Path);

    /// <summary>Makes a node of the tree, the youngest child of <paramref name="parent"/>: ENOMEM.</summary>
    /// <param name="path">Where the new node's path is.</param>
    /// <param name="level">Level of the new node's path.</param>
    /// <param name="parent">Its parent, or <see cref="Link.None"/> for the root.</param>
    /// <param name="permissions">Its permissions; the caller's share passes to the node on success.</param>
    /// <param name="exempt">Whether the owner's quota does not matter.</param>
    /// <param name="node">The new node.</param>
    internal XenStoreError Create(StorePath path, int level, int parent, int permissions, bool exempt, out int node)
    {
        int owner = _domains.Find(_permissions.OwnerOf(permissions));
        if (!TryAllocate(path, level, Link.None, owner, permissions, exempt, out node))
        {
            return XenStoreError.NoMemory;
        }

        _records[node].Generation = NextGeneration();
        LinkToTree(node, parent);
        return XenStoreError.None;
    }

    /// <summary>
    /// Makes a transaction's copy of what is at a path now, be it nothing: ENOMEM.
    /// The caller links it into the transaction's list.
    /// </summary>
    internal XenStoreError CreateCopy(StorePath path, int level, int transaction, int account, out int copy)
    {
        int original = Find(path, level, Link.None);
        int permissions = original == Link.None ? Link.None : _records[original].Permissions;
        if (!TryAllocate(path, level, transaction, account, permissions, false, out copy))
        {
            return XenStoreError.NoMemory;
        }

        _byPath.Insert(copy);
        ref NodeRecord record = ref _records[copy];
        if (original == Link.None)
        {
            record.BaseGeneration = NodeRecord.NoGeneration;
            return XenStoreError.None;
        }

        _permissions.Share(permissions);
        _permissions.Share(permissions);
        record.BasePermissions = permissions;
        record.State = CopyState.Exists;
        record.Generation = _records[original].Generation;
        record.BaseGeneration = record.Generation;
        if (!TryCopyContent(copy, original))
        {
            Free(copy);
            return XenStoreError.NoMemory;
        }

        return XenStoreError.None;
    }

    /// <summary>Replaces a node's or a copy's value: ENOMEM.</summary>
    internal XenStoreError SetValue(int node, ReadOnlySpan<byte> value, bool exempt)
    {
        ref NodeRecord record = ref _records[node];
        int growth = ByteChains.Footprint(value.Length) - ByteChains.Footprint(record.Value.Length);
        if (!TryGrow(node, growth, exempt))
        {
            return XenStoreError.NoMemory;
        }

        if (!_chains.TryCreate(value, out Chain chain))
        {
            Shrink(node, growth);
            return XenStoreError.NoMemory;
        }

        _chains.Free(ref record.Value);
        record.Value = chain;
        return XenStoreError.None;
    }

    /// <summary>Replaces a node's or a copy's permissions; the caller's share passes to the node. Never fails.</summary>
    internal void SetPermissions(int node, int permissions)
    {
        ref NodeRecord record = ref _records[node];
        if (record.IsCopy)
        {
            _permissions.Release(record.Permissions);
            record.Permissions = permissions;
            return;
        }

        UnlinkFromOwner(node);
        _permissions.Release(record.Permissions);
        record.Permissions = permissions;
        int owner = _domains.Find(_permissions.OwnerOf(permissions));
        _domains.MoveCharge(record.Account, owner, record.Charged);
        record.Account = owner;
        LinkToOwner(node);
    }

    /// <summary>Adds a name to a copy's children: ENOMEM.</summary>
    internal XenStoreError AddChildName(int copy, ReadOnlySpan<byte> name)
    {
        ref NodeRecord record = ref _records[copy];
        Chain children = record.Children;
        int growth = ByteChains.Footprint(children.Length + name.Length + 1) - ByteChains.Footprint(children.Length);
        if (!TryGrow(copy, growth, false))
        {
            return XenStoreError.NoMemory;
        }

        if (!TryAppendName(ref record.Children, name))
        {
            Shrink(copy, growth);
            return XenStoreError.NoMemory;
        }

        return XenStoreError.None;
    }

    /// <summary>Takes a name off a copy's children.</summary>
    internal void RemoveChildName(int copy, ReadOnlySpan<byte> name)
    {
        ref NodeRecord record = ref _records[copy];
        for (int offset = 0; offset < record.Children.Length;)
        {
            ReadOnlySpan<byte> child = ReadChildName(copy, offset);
            if (child.SequenceEqual(name))
            {
                int before = ByteChains.Footprint(record.Children.Length);
                _chains.RemoveRange(ref record.Children, offset, name.Length + 1);
                Shrink(copy, before - ByteChains.Footprint(record.Children.Length));
                return;
            }

            offset += child.Length + 1;
        }
    }

    /// <summary>The name at an offset in a copy's children; valid until the next use of this table.</summary>
    internal ReadOnlySpan<byte> ReadChildName(int copy, int offset)
    {
        Chain children = _records[copy].Children;
        int length = _chains.StringLength(children, offset);
        _chains.Read(children, offset, new Span<byte>(_name, 0, length));
        return new ReadOnlySpan<byte>(_name, 0, length);
    }

    /// <summary>The last component of a node's path; valid until the next use of this table.</summary>
    internal ReadOnlySpan<byte> ReadName(int node)
    {
        Chain path = _records[node].Path;
        _chains.Read(path, 0, _name);
        ReadOnlySpan<byte> text = new(_name, 0, path.Length);
        return text[(text.LastIndexOf((byte)'/') + 1)..];
    }

    /// <summary>Empties a copy: the transaction has no node there any more.</summary>
    internal void Vacate(int copy)
    {
        ref NodeRecord record = ref _records[copy];
        int before = FootprintOf(record);
        _chains.Free(ref record.Value);
        _chains.Free(ref record.Children);
        _permissions.Release(record.Permissions);
        record.Permissions = Link.None;
        Shrink(copy, before - FootprintOf(record));
        record.State = (record.State & ~CopyState.Exists) | CopyState.Modified | CopyState.Vacated;
    }

    /// <summary>Fills an empty copy: the transaction has made a node there. ENOMEM. The caller's share of the permissions passes on success.</summary>
    internal XenStoreError Occupy(int copy, int permissions)
    {
        if (!TryGrow(copy, PermissionList.Footprint, false))
        {
            return XenStoreError.NoMemory;
        }

        ref NodeRecord record = ref _records[copy];
        record.Permissions = permissions;
        record.State |= CopyState.Exists | CopyState.Modified;
        record.Generation = NextGeneration();
        return XenStoreError.None;
    }

    /// <summary>Commits a changed copy to the node that it is of: value and permissions move over. Never fails.</summary>
    internal void MoveToOriginal(int copy, int original)
    {
        ref NodeRecord source = ref _records[copy];
        ref NodeRecord target = ref _records[original];
        int valueGrowth = ByteChains.Footprint(source.Value.Length) - ByteChains.Footprint(target.Value.Length);
        (target.Value, source.Value) = (source.Value, target.Value);
        source.Charged -= valueGrowth;
        target.Charged += valueGrowth;
        _domains.MoveCharge(source.Account, target.Account, valueGrowth);
        _permissions.Share(source.Permissions);
        SetPermissions(original, source.Permissions);
        target.Generation = NextGeneration();
        if ((source.State & CopyState.Vacated) != 0)
        {
            // A node made again is the youngest child, as it was inside the transaction.
            UnlinkFromParent(original);
            LinkToParent(original);
        }
    }

    /// <summary>Commits a copy of an absent node: the copy becomes the node, youngest child of <paramref name="parent"/>. Never fails.</summary>
    internal void Adopt(int copy, int parent)
    {
        ref NodeRecord record = ref _records[copy];
        _byPath.Remove(copy);
        int before = FootprintOf(record);
        _chains.Free(ref record.Children);
        _permissions.Release(record.BasePermissions);
        record.BasePermissions = Link.None;
        Shrink(copy, before - FootprintOf(record));
        int owner = _domains.Find(_permissions.OwnerOf(record.Permissions));
        _domains.MoveCharge(record.Account, owner, record.Charged);
        record.Account = owner;
        record.Transaction = Link.None;
        record.State = CopyState.None;
        record.FirstChild = Link.None;
        record.LastChild = Link.None;
        record.Generation = NextGeneration();
        LinkToTree(copy, parent);
        _records[parent].Generation = NextGeneration();
    }

    /// <summary>Removes a node that has no children from the tree.</summary>
    internal void Remove(int node)
    {
        int parent = _records[node].Parent;
        _byPath.Remove(node);
        UnlinkFromOwner(node);
        UnlinkFromParent(node);
        Release(node);
        _records[parent].Generation = NextGeneration();
    }

    /// <summary>Frees a copy, which is in no list any more.</summary>
    internal void Free(int copy)
    {
        _byPath.Remove(copy);
        Release(copy);
    }

    private static int FootprintOf(in NodeRecord record) =>
        NodeRecord.Footprint
        + (record.Permissions == Link.None ? 0 : PermissionList.Footprint)
        + ByteChains.Footprint(record.Path.Length)
        + ByteChains.Footprint(record.Value.Length)
        + ByteChains.Footprint(record.Children.Length);

    /// <summary>Takes a record with its path, charged; on success the permissions are the record's.</summary>
    private bool TryAllocate(StorePath path, int level, int transaction, int account, int permissions, bool exempt, out int node)
    {
        node = Link.None;
        NodeRecord record = default;
        record.Permissions = permissions;
        record.Path.Length = path.At(level).Length;
        int charge = FootprintOf(record);
        if (!_domains.TryCharge(account, charge, exempt))
        {
            return false;
        }

        if (!_chains.TryCreate(path.At(level), out record.Path))
        {
            _domains.Credit(account, charge);
            return false;
        }

        if (!_records.TryAllocate(out node))
        {
            _chains.Free(ref record.Path);
            _domains.Credit(account, charge);
            return false;
        }

        record.PathHash = path.HashAt(level);
        record.Value = Chain.Empty;
        record.Children = Chain.Empty;
        record.Transaction = transaction;
        record.Account = account;
        record.Charged = charge;
        record.Parent = Link.None;
        record.FirstChild = Link.None;
        record.LastChild = Link.None;
        record.Previous = Link.None;
        record.Next = Link.None;
        record.OwnedPrevious = Link.None;
        record.OwnedNext = Link.None;
        record.BasePermissions = Link.None;
        _records[node] = record;
        return true;
    }

    /// <summary>Gives everything back that a record holds, and the record.</summary>
    private void Release(int node)
    {
        ref NodeRecord record = ref _records[node];
        _chains.Free(ref record.Path);
        _chains.Free(ref record.Value);
        _chains.Free(ref record.Children);
        _permissions.Release(record.Permissions);
        _permissions.Release(record.BasePermissions);
        _domains.Credit(record.Account, record.Charged);
        _records.Free(node);
    }

    private bool TryCopyContent(int copy, int original)
    {
        ref NodeRecord record = ref _records[copy];
        ref NodeRecord source = ref _records[original];
        int growth = ByteChains.Footprint(source.Value.Length) + ByteChains.Footprint(source.ChildBytes);
        if (!TryGrow(copy, growth, false) || !_chains.TryCopy(source.Value, out record.Value))
        {
            return false;
        }

        for (int child = source.FirstChild; child != Link.None; child = _records[child].Next)
        {
            if (!TryAppendName(ref record.Children, ReadName(child)))
            {
                return false;
            }
        }

        return true;
    }

    private int ReadCopiedNames(Chain names, int offset, Span<byte> destination)
    {
        int length = 0;
        while (offset + length < names.Length)
        {
            int size = _chains.StringLength(names, offset + length) + 1;
            if (size > destination.Length - length)
            {
                break;
            }

            _chains.Read(names, offset + length, destination.Slice(length, size));
            length += size;
        }

        return length;
    }

    private int ReadLinkedNames(int node, int offset, Span<byte> destination)
    {
        int length = 0;
        for (int child = _records[node].FirstChild; child != Link.None; child = _records[child].Next)
        {
            int size = NameLength(child) + 1;
            if (offset >= size)
            {
                offset -= size;
                continue;
            }

            int rest = size - offset;
            if (rest > destination.Length - length)
            {
                break;
            }

            ReadName(child)[offset..].CopyTo(destination[length..]);
            length += rest;
            destination[length - 1] = 0;
            offset = 0;
        }

        return length;
    }

    private bool TryAppendName(ref Chain names, ReadOnlySpan<byte> name)
    {
        int length = names.Length;
        if (!_chains.TryAppend(ref names, name))
        {
            return false;
        }

        if (!_chains.TryAppend(ref names, "\0"u8))
        {
            _chains.RemoveRange(ref names, length, name.Length);
            return false;
        }

        return true;
    }

    private bool TryGrow(int node, int bytes, bool exempt)
    {
        ref NodeRecord record = ref _records[node];
        if (!_domains.TryCharge(record.Account, bytes, exempt))
        {
            return false;
        }

        record.Charged += bytes;
        return true;
    }

    private void Shrink(int node, int bytes)
    {
        ref NodeRecord record = ref _records[node];
        _domains.Credit(record.Account, bytes);
        record.Charged -= bytes;
    }

    private void LinkToTree(int node, int parent)
    {
        ref NodeRecord record = ref _records[node];
        record.Parent = parent;
        record.Next = Link.None;
        record.Previous = Link.None;
        _byPath.Insert(node);
        LinkToOwner(node);
        if (parent != Link.None)
        {
            LinkToParent(node);
        }
    }

    private void LinkToParent(int node)
    {
        ref NodeRecord record = ref _records[node];
        ref NodeRecord above = ref _records[record.Parent];
        record.Next = Link.None;
        record.Previous = above.LastChild;
        if (above.LastChild == Link.None)
        {
            above.FirstChild = node;
        }
        else
        {
            _records[above.LastChild].Next = node;
        }

        above.LastChild = node;
        above.ChildBytes += NameLength(node) + 1;
    }

    private void UnlinkFromParent(int node)
    {
        ref NodeRecord record = ref _records[node];
        ref NodeRecord above = ref _records[record.Parent];
        if (record.Previous == Link.None)
        {
            above.FirstChild = record.Next;
        }
        else
        {
            _records[record.Previous].Next = record.Next;
        }

        if (record.Next == Link.None)
        {
            above.LastChild = record.Previous;
        }
        else
        {
            _records[record.Next].Previous = record.Previous;
        }

        above.ChildBytes -= NameLength(node) + 1;
    }

    /// <summary>Bytes of a node's last component.</summary>
    private int NameLength(int node)
    {
        int parent = _records[node].Parent;
        int parentLength = _records[parent].Parent == Link.None ? 0 : _records[parent].Path.Length;
        return _records[node].Path.Length - parentLength - 1;
    }

    private void LinkToOwner(int node)
    {
        ref NodeRecord record = ref _records[node];
        ref DomainRecord owner = ref _domains[record.Account];
        owner.NodeCount++;
        record.OwnedNext = Link.None;
        record.OwnedPrevious = owner.LastOwned;
        if (owner.LastOwned == Link.None)
        {
            owner.FirstOwned = node;
        }
        else
        {
            _records[owner.LastOwned].OwnedNext = node;
        }

        owner.LastOwned = node;
    }

    private void UnlinkFromOwner(int node)
    {
        ref NodeRecord record = ref _records[node];
        ref DomainRecord owner = ref _domains[record.Account];
        owner.NodeCount--;
        if (record.OwnedPrevious == Link.None)
        {
            owner.FirstOwned = record.OwnedNext;
        }
        else
        {
            _records[record.OwnedPrevious].OwnedNext = record.OwnedNext;
        }

        if (record.OwnedNext == Link.None)
        {
            owner.LastOwned = record.OwnedPrevious;
        }
        else
        {
            _records[record.OwnedNext].OwnedPrevious = record.OwnedPrevious;
        }
    }
}
