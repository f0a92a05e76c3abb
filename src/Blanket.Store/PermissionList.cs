using System.Runtime.CompilerServices;

namespace Blanket.Store;

/// <summary>A permission entry that is bound to one life of its domain: a later domain of the same number gets nothing.</summary>
internal struct PermissionEntry
{
    /// <summary>Which life of the domain, <see cref="DomainRecord.Serial"/>; 0 for a domain that did not exist.</summary>
    internal ulong Serial;

    /// <summary>The domain.</summary>
    internal ushort Domid;

    /// <summary>What it may do.</summary>
    internal StoreAccess Access;
}

/// <summary>Entries of a <see cref="PermissionList"/>.</summary>
[InlineArray(PermissionList.Maximum)]
internal struct PermissionEntries
{
    private PermissionEntry _first;
}

/// <summary>Permissions shared by all nodes that inherited them.</summary>
internal struct PermissionList
{
    /// <summary>Most entries of a list, also for privileged domains.</summary>
    internal const int Maximum = 15;

    /// <summary>Bytes that a list takes.</summary>
    internal const int Footprint = 8 + (Maximum * 16);

    /// <summary>Nodes and others that use the list.</summary>
    internal int References;

    /// <summary>Entries in use, at least 1.</summary>
    internal int Count;

    /// <summary>The entries; the first is the owner's.</summary>
    internal PermissionEntries Entries;
}
