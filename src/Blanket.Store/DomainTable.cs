using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>The domains that exist, and what each of them uses.</summary>
internal sealed class DomainTable
{
    private readonly Slab<DomainRecord> _records;
    private readonly HashIndex<DomainRecord> _byDomid;
    private readonly StoreQuotas _quotas;
    private readonly StoreCapacity _capacity;
    private ulong _lastSerial;

    /// <summary>No domains.</summary>
    internal DomainTable(StoreQuotas quotas, StoreCapacity capacity)
    {
        _quotas = quotas;
        _capacity = capacity;
        _records = new Slab<DomainRecord>(capacity.Domains);
        _byDomid = new HashIndex<DomainRecord>(_records, capacity.HashBits);
    }

    /// <summary>Domains that exist.</summary>
    internal int Count => _records.Used;

    /// <summary>Bytes charged to all domains.</summary>
    internal long Memory { get; private set; }

    /// <summary>A domain's record.</summary>
    internal ref DomainRecord this[int domain] => ref _records[domain];

    /// <summary>The record of a domain number, or <see cref="Link.None"/>.</summary>
    internal int Find(ushort domid) => _byDomid.First(domid);

    /// <summary>Makes the record of a new domain: EEXIST, ENOMEM.</summary>
    internal XenStoreError Create(ushort domid, bool isPrivileged)
    {
        if (Find(domid) != Link.None)
        {
            return XenStoreError.Exists;
        }

        if (!_records.TryAllocate(out int domain))
        {
            return XenStoreError.NoMemory;
        }

        ref DomainRecord record = ref _records[domain];
        record = default;
        record.Domid = domid;
        record.IsPrivileged = isPrivileged;
        record.RingSlot = Link.None;
        record.FirstOwned = Link.None;
        record.LastOwned = Link.None;
        StartNewLife(domain);
        _byDomid.Insert(domain);
        return XenStoreError.None;
    }

    /// <summary>Forgets a domain that owns nothing any more.</summary>
    internal void Destroy(int domain)
    {
        _byDomid.Remove(domain);
        _records.Free(domain);
    }

    /// <summary>Ends what permissions, targets and tickets of other domains say about this one.</summary>
    internal void StartNewLife(int domain)
    {
        _lastSerial++;
        ref DomainRecord record = ref _records[domain];
        record.Serial = _lastSerial;
        record.TargetSerial = 0;
        record.ShutdownAnnounced = false;
        record.Outstanding = 0;
    }

    /// <summary>The record of a domain that is still in the life that <paramref name="serial"/> names, or <see cref="Link.None"/>.</summary>
    internal int FindAlive(ushort domid, ulong serial)
    {
        int domain = Find(domid);
        return domain != Link.None && _records[domain].Serial == serial ? domain : Link.None;
    }

    /// <summary>The domain whose rights <paramref name="domain"/> has too, or <see cref="Link.None"/>.</summary>
    internal int TargetOf(int domain)
    {
        ref DomainRecord record = ref _records[domain];
        return record.TargetSerial == 0 ? Link.None : FindAlive(record.TargetDomid, record.TargetSerial);
    }

    /// <summary>
    /// Charges bytes to a domain. False, with nothing charged, when that would exceed its quota or the store's capacity,
    /// unless <paramref name="exempt"/>.
    /// </summary>
    internal bool TryCharge(int domain, int bytes, bool exempt)
    {
        ref DomainRecord record = ref _records[domain];
        if (bytes > 0 && !exempt && !record.IsPrivileged
            && (record.Memory + bytes > _quotas.Memory || Memory + bytes > _capacity.Memory - _capacity.ReservedMemory))
        {
            return false;
        }

        if (bytes > 0 && Memory + bytes > _capacity.Memory)
        {
            return false;
        }

        record.Memory += bytes;
        Memory += bytes;
        return true;
    }

    /// <summary>Gives charged bytes back.</summary>
    internal void Credit(int domain, int bytes)
    {
        _records[domain].Memory -= bytes;
        Memory -= bytes;
    }

    /// <summary>Moves a charge that exists from one domain to another; never fails.</summary>
    internal void MoveCharge(int from, int to, int bytes)
    {
        _records[from].Memory -= bytes;
        _records[to].Memory += bytes;
    }

    /// <summary>Whether the domain has so many outstanding requests that no more are read for now.</summary>
    internal bool IsThrottled(int domain)
    {
        ref DomainRecord record = ref _records[domain];
        return !record.IsPrivileged && record.Outstanding >= _quotas.Outstanding;
    }
}
