using System;

namespace Blanket.Store;

/// <summary>State of a <see cref="NodeRecord"/> that is a transaction's copy.</summary>
[Flags]
internal enum CopyState : byte
{
    /// <summary>Looked up only; the path has no node in the transaction.</summary>
    None = 0,

    /// <summary>The node exists as the transaction sees it.</summary>
    Exists = 1,

    /// <summary>The transaction made, changed or removed the node.</summary>
    Modified = 2,

    /// <summary>An event is due at commit.</summary>
    Event = 4,

    /// <summary>The event is only for watches on this very path (removal with an ancestor).</summary>
    EventIsExact = 8,

    /// <summary>The transaction removed the node once, if only to make it again.</summary>
    Vacated = 16,
}

/// <summary>
/// A node of the tree, or a transaction's copy of a node (or of a node's absence).
/// One type for both, so that a commit turns a copy into a node without needing memory.
/// </summary>
internal struct NodeRecord : IHashed
{
    /// <summary>Bytes that a record takes, as it is charged.</summary>
    internal const int Footprint = 120;

    /// <summary>Generation of a node that does not exist.</summary>
    internal const ulong NoGeneration = ulong.MaxValue;

    /// <summary>Hash of <see cref="Path"/>.</summary>
    internal ulong PathHash;

    /// <summary>Changes with every change of the node, its permissions or its list of children.</summary>
    internal ulong Generation;

    /// <summary>The whole absolute path.</summary>
    internal Chain Path;

    /// <summary>The value.</summary>
    internal Chain Value;

    /// <summary>Permission list; <see cref="Link.None"/> in a copy of an absent node.</summary>
    internal int Permissions;

    /// <summary>The transaction that a copy belongs to; <see cref="Link.None"/> for a node of the tree.</summary>
    internal int Transaction;

    /// <summary>Domain that <see cref="Charged"/> is charged to: the owner, or the transaction's domain for a copy.</summary>
    internal int Account;

    /// <summary>Bytes charged.</summary>
    internal int Charged;

    /// <summary>Bytes of the children's names, each with a terminator.</summary>
    internal int ChildBytes;

    /// <summary>Parent in the tree; <see cref="Link.None"/> for the root and for copies.</summary>
    internal int Parent;

    /// <summary>Oldest child in the tree. In a copy: how far into <see cref="Children"/> a removal has come.</summary>
    internal int FirstChild;

    /// <summary>Youngest child in the tree.</summary>
    internal int LastChild;

    /// <summary>Previous sibling in the tree, or previous copy of the transaction.</summary>
    internal int Previous;

    /// <summary>Next sibling in the tree, or next copy of the transaction.</summary>
    internal int Next;

    /// <summary>Previous node of the same owner in the tree.</summary>
    internal int OwnedPrevious;

    /// <summary>Next node of the same owner in the tree.</summary>
    internal int OwnedNext;

    /// <summary>Names of a copy's children, each with a terminator.</summary>
    internal Chain Children;

    /// <summary>Generation of the node that the copy was made of.</summary>
    internal ulong BaseGeneration;

    /// <summary>Permissions of the node that the copy was made of, or <see cref="Link.None"/>.</summary>
    internal int BasePermissions;

    /// <summary>State of a copy.</summary>
    internal CopyState State;

    /// <summary>Whether the record is a transaction's copy.</summary>
    internal readonly bool IsCopy => Transaction != Link.None;

    /// <inheritdoc/>
    public readonly ulong HashKey => KeyOf(PathHash, Transaction);

    /// <inheritdoc/>
    public int HashNext { get; set; }

    /// <inheritdoc/>
    public int HashPrevious { get; set; }

    /// <summary>What a path is found by in the tree (<see cref="Link.None"/>) or in a transaction.</summary>
    internal static ulong KeyOf(ulong pathHash, int transaction) =>
        unchecked(pathHash + ((ulong)(uint)(transaction + 1) * 0x9e3779b97f4a7c15));
}
