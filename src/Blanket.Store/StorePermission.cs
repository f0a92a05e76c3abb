using System;

namespace Blanket.Store;

/// <summary>Rights on a node: the letters of a permission in xenstore.txt.</summary>
[Flags]
public enum StoreAccess : byte
{
    /// <summary>n: no access.</summary>
    None = 0,

    /// <summary>r: read.</summary>
    Read = 1,

    /// <summary>w: write.</summary>
    Write = 2,

    /// <summary>b: both.</summary>
    Both = Read | Write,

    /// <summary>What the owner and privileged domains have besides; never in a list.</summary>
    Owner = 8,
}

/// <summary>
/// An entry of a node's permissions. The first entry names the owner, who may do everything, and what
/// domains without an entry of their own may do.
/// </summary>
public struct StorePermission
{
    /// <summary>The domain that the entry is about.</summary>
    public ushort Domid;

    /// <summary>What it may do: none, read, write or both.</summary>
    public StoreAccess Access;

    /// <summary>An entry.</summary>
    public StorePermission(ushort domid, StoreAccess access)
    {
        Domid = domid;
        Access = access;
    }
}
