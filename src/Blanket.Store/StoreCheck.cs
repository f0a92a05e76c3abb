namespace Blanket.Store;

/// <summary>Checks the store's innards, for CONTROL check and for tests: links, hashes, sums. Takes time in proportion to the whole store.</summary>
internal sealed class StoreCheck
{
    private readonly NodeTable _nodes;
    private readonly DomainTable _domains;
    private readonly StorePath _path;

    /// <summary>A check of these tables.</summary>
    internal StoreCheck(NodeTable nodes, DomainTable domains, PathHash hash)
    {
        _nodes = nodes;
        _domains = domains;
        _path = new StorePath(hash);
    }

    /// <summary>Whether everything is as it must be.</summary>
    internal bool IsSound()
    {
        _path.Clear();
        int node = _nodes.Find(_path, 0, Link.None);
        int visited = 0;
        while (node != Link.None)
        {
            if (!IsSound(node))
            {
                return false;
            }

            visited++;
            node = NextInTree(node);
        }

        return visited == CountOwned();
    }

    private bool IsSound(int node)
    {
        ref NodeRecord record = ref _nodes[node];
        _nodes.LoadPath(node, _path);
        return !record.IsCopy
            && _nodes.Find(_path, _path.Depth, Link.None) == node
            && _domains[record.Account].Domid == _nodes.OwnerOf(node)
            && _nodes.IsOwnerAlive(node)
            && _nodes.IsChargedRight(node)
            && AreChildrenLinked(node);
    }

    private bool AreChildrenLinked(int node)
    {
        int bytes = 0;
        int previous = Link.None;
        for (int child = _nodes[node].FirstChild; child != Link.None; child = _nodes[child].Next)
        {
            if (_nodes[child].Parent != node || _nodes[child].Previous != previous)
            {
                return false;
            }

            bytes += _nodes.ReadName(child).Length + 1;
            previous = child;
        }

        return previous == _nodes[node].LastChild && bytes == _nodes[node].ChildBytes;
    }

    /// <summary>Depth first, parents before children.</summary>
    private int NextInTree(int node)
    {
        if (_nodes[node].FirstChild != Link.None)
        {
            return _nodes[node].FirstChild;
        }

        while (node != Link.None && _nodes[node].Next == Link.None)
        {
            node = _nodes[node].Parent;
        }

        return node == Link.None ? Link.None : _nodes[node].Next;
    }

    /// <summary>Nodes in the lists of all domains; -1 when a list is not as long as the domain's count says.</summary>
    private int CountOwned()
    {
        int total = 0;
        for (int domid = 0; domid <= ushort.MaxValue; domid++)
        {
            int domain = _domains.Find((ushort)domid);
            if (domain == Link.None)
            {
                continue;
            }

            int count = 0;
            for (int node = _domains[domain].FirstOwned; node != Link.None; node = _nodes[node].OwnedNext)
            {
                count++;
            }

            if (count != _domains[domain].NodeCount)
            {
                return -1;
            }

            total += count;
        }

        return total;
    }
}
