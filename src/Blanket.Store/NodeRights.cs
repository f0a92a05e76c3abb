namespace Blanket.Store;

/// <summary>
/// Permission lists that decide who may know of a change: a watcher that can read the node, its parent,
/// or could read the node before. <see cref="Link.None"/> where there is none.
/// </summary>
internal readonly struct NodeRights
{
    /// <summary>The node's permissions.</summary>
    internal readonly int Node;

    /// <summary>Its parent's.</summary>
    internal readonly int Parent;

    /// <summary>The node's before the change.</summary>
    internal readonly int Former;

    /// <summary>Lists of a change.</summary>
    internal NodeRights(int node, int parent, int former)
    {
        Node = node;
        Parent = parent;
        Former = former;
    }
}
