using Blanket.Abi;

namespace Blanket.Store;

/// <summary>The life of domains in the store: created, introduced, shut down, released, destroyed.</summary>
internal sealed class DomainOperations
{
    private readonly DomainTable _domains;
    private readonly ConnectionTable _connections;
    private readonly NodeSpace _space;
    private readonly WatchTable _watches;
    private readonly SpecialPaths _specials;
    private readonly ConnectionFactory _factory;
    private readonly StoreHost _host;
    private readonly StorePath _path;

    /// <summary>Operations on these tables.</summary>
    internal DomainOperations(
        DomainTable domains,
        ConnectionTable connections,
        NodeSpace space,
        WatchTable watches,
        SpecialPaths specials,
        ConnectionFactory factory,
        StoreHost host,
        PathHash hash)
    {
        _domains = domains;
        _connections = connections;
        _space = space;
        _watches = watches;
        _specials = specials;
        _factory = factory;
        _host = host;
        _path = new StorePath(hash);
    }

    /// <summary>A domain exists from now on: EEXIST, ENOMEM.</summary>
    internal XenStoreError Create(ushort domid, bool isPrivileged) => _domains.Create(domid, isPrivileged);

    /// <summary>Whether the store talks to a domain.</summary>
    internal bool IsIntroduced(ushort domid) => FindIntroduced(domid) != Link.None;

    /// <summary>
    /// INTRODUCE: talks to a domain through a ring that the host makes. A domain that is introduced already gets a new ring,
    /// and its watches and transactions end; if the host cannot make the ring, it is not introduced any more. EINVAL, ENOMEM.
    /// </summary>
    internal XenStoreError Introduce(ushort domid, ulong frame, uint port)
    {
        int domain = FindIntroduced(domid);
        bool isNew = domain == Link.None;
        if (!isNew)
        {
            Disconnect(domain);
        }

        StoreRing? ring = _host.CreateRing(domid, frame, port);
        if (ring == null)
        {
            return XenStoreError.Invalid;
        }

        XenStoreError error = Connect(domid, ring, isNew);
        if (error != XenStoreError.None)
        {
            ring.Close();
        }

        return error;
    }

    /// <summary>The same through a ring that exists; on an error the ring stays the caller's.</summary>
    internal XenStoreError Introduce(ushort domid, StoreRing ring)
    {
        int domain = FindIntroduced(domid);
        bool isNew = domain == Link.None;
        if (!isNew)
        {
            Disconnect(domain);
        }

        return Connect(domid, ring, isNew);
    }

    /// <summary>
    /// RELEASE: talks to a domain no more, removes its nodes with all below them, ends its permissions on other nodes: ENOENT.
    /// </summary>
    internal XenStoreError Release(ushort domid)
    {
        int domain = FindIntroduced(domid);
        if (domain == Link.None)
        {
            return XenStoreError.NotFound;
        }

        End(domain);
        return XenStoreError.None;
    }

    /// <summary>A domain exists no more: ENOENT, EINVAL for domain 0, EBUSY while in-process clients act for it.</summary>
    internal XenStoreError Destroy(ushort domid)
    {
        int domain = _domains.Find(domid);
        if (domain == Link.None)
        {
            return XenStoreError.NotFound;
        }

        if (domid == 0)
        {
            return XenStoreError.Invalid;
        }

        if (_domains[domain].Clients > 0)
        {
            return XenStoreError.Busy;
        }

        End(domain);
        _domains.Destroy(domain);
        return XenStoreError.None;
    }

    /// <summary>A domain has shut down: @releaseDomain, once until RESUME. ENOENT.</summary>
    internal XenStoreError Shutdown(ushort domid)
    {
        int domain = FindIntroduced(domid);
        if (domain == Link.None)
        {
            return XenStoreError.NotFound;
        }

        if (!_domains[domain].ShutdownAnnounced)
        {
            _domains[domain].ShutdownAnnounced = true;
            Announce(SpecialPath.ReleaseDomain, domid);
        }

        return XenStoreError.None;
    }

    /// <summary>RESUME: the next shutdown is announced again. ENOENT.</summary>
    internal XenStoreError Resume(ushort domid)
    {
        int domain = FindIntroduced(domid);
        if (domain == Link.None)
        {
            return XenStoreError.NotFound;
        }

        _domains[domain].ShutdownAnnounced = false;
        return XenStoreError.None;
    }

    /// <summary>SET_TARGET: gives a domain the rights of another. ENOENT unless both are introduced.</summary>
    internal XenStoreError SetTarget(ushort domid, ushort targetDomid)
    {
        int domain = FindIntroduced(domid);
        int target = FindIntroduced(targetDomid);
        if (domain == Link.None || target == Link.None)
        {
            return XenStoreError.NotFound;
        }

        _domains[domain].TargetDomid = targetDomid;
        _domains[domain].TargetSerial = _domains[target].Serial;
        return XenStoreError.None;
    }

    /// <summary>The ring connection of a domain; null when it is not introduced.</summary>
    internal StoreConnection? FindRing(ushort domid)
    {
        int domain = FindIntroduced(domid);
        return domain == Link.None ? null : _connections[_domains[domain].RingSlot];
    }

    private int FindIntroduced(ushort domid)
    {
        int domain = _domains.Find(domid);
        return domain != Link.None && _domains[domain].RingSlot != Link.None ? domain : Link.None;
    }

    private XenStoreError Connect(ushort domid, StoreRing ring, bool isNew)
    {
        int domain = _domains.Find(domid);
        if (domain == Link.None)
        {
            XenStoreError error = _domains.Create(domid, false);
            if (error != XenStoreError.None)
            {
                return error;
            }

            domain = _domains.Find(domid);
        }

        int slot = _factory.CreateConnection(domid, domain, ring);
        if (slot == Link.None)
        {
            return XenStoreError.NoMemory;
        }

        _domains[domain].RingSlot = slot;
        _domains[domain].ShutdownAnnounced = false;
        if (isNew)
        {
            Announce(SpecialPath.IntroduceDomain, domid);
        }

        return XenStoreError.None;
    }

    private void Disconnect(int domain)
    {
        int slot = _domains[domain].RingSlot;
        _domains[domain].RingSlot = Link.None;
        StoreConnection connection = _connections[slot]!;
        connection.Stop();
        _connections.Close(connection);
    }

    /// <summary>Ends this life of a domain.</summary>
    private void End(int domain)
    {
        bool wasIntroduced = _domains[domain].RingSlot != Link.None;
        if (wasIntroduced)
        {
            Disconnect(domain);
        }

        _space.RemoveOwned(domain, _path);
        _domains.StartNewLife(domain);
        if (wasIntroduced)
        {
            Announce(SpecialPath.ReleaseDomain, _domains[domain].Domid);
        }
    }

    private void Announce(SpecialPath path, ushort domid) =>
        _watches.FireSpecial(SpecialPaths.NameOf(path), domid, _specials.PermissionsOf(path));
}
