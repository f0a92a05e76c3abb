using System;
using Blanket.Abi;
using Blanket.Store;

namespace Blanket.Backends;

/// <summary>The backends' connection to xenstore: each request takes the store's lock for its time. Not to be used from a watcher, which is called with the lock held.</summary>
internal sealed class BackendStore(BackendHost host, StoreClient client)
{
    /// <summary>READ: ENOENT; E2BIG when the value does not fit.</summary>
    internal XenStoreError Read(ReadOnlySpan<byte> path, Span<byte> value, out int length)
    {
        host.LockStore();
        XenStoreError error = client.Read(path, value, out length);
        host.UnlockStore();
        return error;
    }

    /// <summary>WRITE, making the node and its ancestors when missing.</summary>
    internal XenStoreError Write(ReadOnlySpan<byte> path, ReadOnlySpan<byte> value)
    {
        host.LockStore();
        XenStoreError error = client.Write(path, value);
        host.UnlockStore();
        return error;
    }

    /// <summary>MKDIR.</summary>
    internal XenStoreError MakeDirectory(ReadOnlySpan<byte> path)
    {
        host.LockStore();
        XenStoreError error = client.MakeDirectory(path);
        host.UnlockStore();
        return error;
    }

    /// <summary>RM with everything below: ENOENT when even the parent is missing.</summary>
    internal XenStoreError Remove(ReadOnlySpan<byte> path)
    {
        host.LockStore();
        XenStoreError error = client.Remove(path);
        host.UnlockStore();
        return error;
    }

    /// <summary>SET_PERMS; the first entry is the owner's.</summary>
    internal XenStoreError SetPermissions(ReadOnlySpan<byte> path, ReadOnlySpan<StorePermission> permissions)
    {
        host.LockStore();
        XenStoreError error = client.SetPermissions(path, permissions);
        host.UnlockStore();
        return error;
    }

    /// <summary>WATCH.</summary>
    internal XenStoreError Watch(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token, StoreWatcher watcher)
    {
        host.LockStore();
        XenStoreError error = client.Watch(path, token, watcher);
        host.UnlockStore();
        return error;
    }

    /// <summary>UNWATCH.</summary>
    internal XenStoreError Unwatch(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token)
    {
        host.LockStore();
        XenStoreError error = client.Unwatch(path, token);
        host.UnlockStore();
        return error;
    }
}
