using System;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>Permission lists, counted by their users, and what they allow.</summary>
internal sealed class PermissionTable
{
    private readonly Slab<PermissionList> _lists;
    private readonly DomainTable _domains;

    /// <summary>No lists.</summary>
    internal PermissionTable(int maximumLists, DomainTable domains)
    {
        _lists = new Slab<PermissionList>(maximumLists);
        _domains = domains;
    }

    /// <summary>Lists in use.</summary>
    internal int Count => _lists.Used;

    /// <summary>A list's content.</summary>
    internal ref PermissionList this[int list] => ref _lists[list];

    /// <summary>Makes a list with one user; false when memory is out.</summary>
    /// <param name="entries">1..<see cref="PermissionList.Maximum"/> entries, the owner's first.</param>
    /// <param name="list">The new list.</param>
    internal bool TryCreate(ReadOnlySpan<StorePermission> entries, out int list)
    {
        if (!_lists.TryAllocate(out list))
        {
            return false;
        }

        ref PermissionList record = ref _lists[list];
        record.References = 1;
        record.Count = entries.Length;
        for (int i = 0; i < entries.Length; i++)
        {
            int domain = _domains.Find(entries[i].Domid);
            record.Entries[i] = new PermissionEntry
            {
                Domid = entries[i].Domid,
                Access = entries[i].Access & StoreAccess.Both,
                Serial = domain == Link.None ? 0 : _domains[domain].Serial,
            };
        }

        return true;
    }

    /// <summary>The inherited permissions of a child: the same with another owner. False when memory is out.</summary>
    internal bool TryInherit(int list, ushort owner, out int inherited)
    {
        inherited = list;
        if (OwnerOf(list) == owner)
        {
            Share(list);
            return true;
        }

        if (!_lists.TryAllocate(out inherited))
        {
            return false;
        }

        ref PermissionList record = ref _lists[inherited];
        record = _lists[list];
        record.References = 1;
        record.Entries[0].Domid = owner;
        int domain = _domains.Find(owner);
        record.Entries[0].Serial = domain == Link.None ? 0 : _domains[domain].Serial;
        return true;
    }

    /// <summary>Adds a user.</summary>
    internal void Share(int list) => _lists[list].References++;

    /// <summary>Takes a user away; the last one frees the list. <see cref="Link.None"/> is allowed.</summary>
    internal void Release(int list)
    {
        if (list == Link.None)
        {
            return;
        }

        ref PermissionList record = ref _lists[list];
        record.References--;
        if (record.References == 0)
        {
            _lists.Free(list);
        }
    }

    /// <summary>The owner's domain number.</summary>
    internal ushort OwnerOf(int list) => _lists[list].Entries[0].Domid;

    /// <summary>Whether the owner still is the domain that the list was made for.</summary>
    internal bool IsOwnerAlive(int list) =>
        _domains.FindAlive(_lists[list].Entries[0].Domid, _lists[list].Entries[0].Serial) != Link.None;

    /// <summary>
    /// What a domain may do: everything for privileged domains, the owner, and who has the owner as target;
    /// otherwise what the first entry for the domain or its target says, or the owner's entry says for all others.
    /// </summary>
    internal StoreAccess AccessOf(int list, int domain)
    {
        const StoreAccess Everything = StoreAccess.Both | StoreAccess.Owner;
        if (_domains[domain].IsPrivileged)
        {
            return Everything;
        }

        int target = _domains.TargetOf(domain);
        ref PermissionList record = ref _lists[list];
        if (IsAbout(record.Entries[0], domain, target))
        {
            return Everything;
        }

        for (int i = 1; i < record.Count; i++)
        {
            if (IsAbout(record.Entries[i], domain, target))
            {
                return record.Entries[i].Access;
            }
        }

        return record.Entries[0].Access;
    }

    private bool IsAbout(in PermissionEntry entry, int domain, int target) =>
        entry.Serial == _domains[domain].Serial || (target != Link.None && entry.Serial == _domains[target].Serial);
}
