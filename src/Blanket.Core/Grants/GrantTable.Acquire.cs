using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>Acquiring and releasing grants. All results are GNTST_*; <see cref="Busy"/> asks to try again.</summary>
public sealed partial class GrantTable
{
    /// <summary>The grant changed while it was being acquired: the operation is to be tried again.</summary>
    internal const short Busy = 1;

    /// <summary>Begins a use of a grant.</summary>
    /// <param name="grantee">The domain that uses it.</param>
    /// <param name="reference">The grant.</param>
    /// <param name="use">How.</param>
    /// <param name="allowTransitive">A grant that passes another domain's grant on is fine.</param>
    /// <param name="grant">The frame; it has a reference, and a writable type count unless the use is read-only.</param>
    internal short Acquire(ushort grantee, uint reference, GrantUse use, bool allowTransitive, out AcquiredGrant grant)
    {
        grant = default;
        if (_domain.IsDying)
        {
            return GrantTableStatus.GeneralError;
        }

        if (!use.IsMapping && TryAcquirePage(grantee, reference, use, out grant))
        {
            return GrantTableStatus.Okay;
        }

        _entries.Acquire();
        short status = CheckUse(grantee, reference, use);
        if (status != GrantTableStatus.Okay)
        {
            _entries.Release();
            return status;
        }

        if (_version == 2 && !use.IsMapping && IsTransitive(reference))
        {
            // Releases the lock.
            status = AcquireTransitive(grantee, reference, use, allowTransitive, out grant);
        }
        else
        {
            status = AcquireOwn(grantee, reference, use, out grant);
            _entries.Release();
        }

        if (status != GrantTableStatus.Okay || use.IsReadOnly)
        {
            return status;
        }

        if (WritableType.TryGet(ref FrameTable.Of(grant.Frame)))
        {
            return GrantTableStatus.Okay;
        }

        FrameReference.Put(grant.Frame);
        ReleaseUse(reference, use);
        return GrantTableStatus.GeneralError;
    }

    /// <summary>Ends a use of a grant, its reference and type count included.</summary>
    internal void Release(uint reference, GrantUse use, ulong frame)
    {
        // The flags go last: when the guest sees them clear, it may use the frame for anything else.
        PutFrame(use, frame);
        if (use.IsMapping || !TryReleasePage(reference, use))
        {
            ReleaseUse(reference, use);
        }
    }

    /// <summary>Drops the reference and the type count that came with a use.</summary>
    internal static void PutFrame(GrantUse use, ulong frame)
    {
        if (use.IsReadOnly)
        {
            FrameReference.Put(frame);
        }
        else
        {
            FrameReference.PutWritable(frame);
        }
    }

    /// <summary>Ends a use of a grant, but not the reference and type count that came with it.</summary>
    internal void ReleaseUse(uint reference, GrantUse use)
    {
        _entries.Acquire();
        ref ActiveGrant active = ref _active[reference];
        Check.That((active.Pins & use.Counters) != 0);
        active.Pins -= use.Increment;
        ReduceStatus(reference, active.Pins, use.IsReadOnly);
        bool isTransitive = active.FrameOwner != _domain.Id;
        ushort owner = active.FrameOwner;
        uint ownerReference = active.OwnerReference;
        if (active.Pins == 0)
        {
            _entriesInUse--;
            _partialEntriesInUse -= active.IsPartial;
            active = default;
        }

        _entries.Release();
        if (isTransitive)
        {
            // What is passed on is in use, so its domain is there; one level only, so this ends.
            FrameOwners.Find(owner)!.Grants!.ReleaseUse(ownerReference, use);
        }
    }

    /// <summary>The frame of a grant in use; false when it is not in use by that domain.</summary>
    internal bool TryGetFrame(ushort grantee, uint reference, out ulong frame)
    {
        _entries.Acquire();
        bool found = reference < _active.Count && _active[reference].Pins != 0 && _active[reference].Grantee == grantee;
        frame = found ? _active[reference].Frame : 0;
        _entries.Release();
        return found;
    }

    /// <summary>Looks for an entry through which a domain uses a frame.</summary>
    /// <param name="grantee">The domain.</param>
    /// <param name="frame">The frame.</param>
    /// <param name="next">First entry to look at; where to go on.</param>
    /// <param name="count">Entries to look at.</param>
    /// <returns>0 when there is one, 1 when there are more entries to look at, -1 when there is none.</returns>
    internal int FindUse(ushort grantee, ulong frame, ref uint next, uint count)
    {
        _entries.Acquire();
        uint end = next < EntryCount ? System.Math.Min(EntryCount, next + count) : next;
        int result = end < EntryCount ? 1 : -1;
        for (; next < end; next++)
        {
            ref ActiveGrant active = ref _active[next];
            if (active.Pins != 0 && active.Grantee == grantee && active.Frame == frame)
            {
                result = 0;
                break;
            }
        }

        _entries.Release();
        return result;
    }

    private short CheckUse(ushort grantee, uint reference, GrantUse use)
    {
        if (reference >= EntryCount)
        {
            return GrantTableStatus.BadReference;
        }

        ref ActiveGrant active = ref _active[reference];
        bool conflicts = active.Pins != 0
            && (active.Grantee != grantee || (active.Pins & use.OverflowMask) != 0 || (use.IsMapping && active.IsPartial != 0));
        return conflicts ? GrantTableStatus.GeneralError : GrantTableStatus.Okay;
    }

    private bool IsTransitive(uint reference) =>
        (PhysicalMemory.Read<ushort>(EntryAddress(reference)) & GrantTableFlags.TypeMask) == GrantTableFlags.Transitive;

    private static bool NeedsStatus(in ActiveGrant active, GrantUse use) =>
        active.Pins == 0 || (!use.IsReadOnly && (active.Pins & GrantUse.Writers) == 0);

    private short AcquireOwn(ushort grantee, uint reference, GrantUse use, out AcquiredGrant grant)
    {
        grant = default;
        ref ActiveGrant active = ref _active[reference];
        bool isInUse = active.Pins != 0;

        // A transitive grant that is in use and was changed to an ordinary one is not one of ours.
        if (isInUse && active.FrameOwner != _domain.Id)
        {
            return GrantTableStatus.GeneralError;
        }

        if (NeedsStatus(in active, use) && SetStatus(reference, grantee, use, isInUse) != GrantTableStatus.Okay)
        {
            return GrantTableStatus.GeneralError;
        }

        ActiveGrant target = isInUse ? active : ReadEntry(reference, grantee);
        short status = FrameReference.TryGet(_domain, target.Frame) ? GrantTableStatus.Okay : GrantTableStatus.BadPage;
        if (status == GrantTableStatus.Okay && use.IsMapping && target.IsPartial != 0)
        {
            // Made a part of a page between the check of the flags and now.
            FrameReference.Put(target.Frame);
            status = GrantTableStatus.GeneralError;
        }

        if (status != GrantTableStatus.Okay)
        {
            ReduceStatus(reference, active.Pins, use.IsReadOnly);
            return status;
        }

        Begin(ref active, in target, use, out grant);
        return GrantTableStatus.Okay;
    }

    private void Begin(ref ActiveGrant active, in ActiveGrant target, GrantUse use, out AcquiredGrant grant)
    {
        if (active.Pins == 0)
        {
            active = target;
            _entriesInUse++;
            _partialEntriesInUse += active.IsPartial;
        }

        active.Pins += use.Increment;
        grant.Frame = active.Frame;
        grant.Start = active.Start;
        grant.Length = active.Length;
    }

    /// <summary>Copies an entry once and checks the copy; the part of a page is cut to the page.</summary>
    private ActiveGrant ReadEntry(uint reference, ushort grantee)
    {
        ulong address = EntryAddress(reference);
        ActiveGrant target = default;
        target.Grantee = grantee;
        target.FrameOwner = _domain.Id;
        target.OwnerReference = reference;
        target.Length = Cpu.PageSize;
        if (_version == 1)
        {
            target.Frame = PhysicalMemory.Read<uint>(address + GrantTableEntry.FrameOffsetV1);
            return target;
        }

        target.Frame = PhysicalMemory.Read<ulong>(address + GrantTableEntry.FrameOffsetV2);
        if ((PhysicalMemory.Read<ushort>(address) & GrantTableFlags.SubPage) != 0)
        {
            uint start = PhysicalMemory.Read<ushort>(address + GrantTableEntry.PageOffsetOffset);
            uint length = PhysicalMemory.Read<ushort>(address + GrantTableEntry.LengthOffset);
            target.IsPartial = 1;
            target.Start = (ushort)System.Math.Min(start, Cpu.PageSize);
            target.Length = (ushort)System.Math.Min(length, Cpu.PageSize - (uint)target.Start);
        }

        return target;
    }

    private short AcquireTransitive(ushort grantee, uint reference, GrantUse use, bool allowTransitive, out AcquiredGrant grant)
    {
        grant = default;
        ActiveGrant before = _active[reference];
        if (NeedsStatus(in before, use) && SetStatus(reference, grantee, use, before.Pins != 0) != GrantTableStatus.Okay)
        {
            _entries.Release();
            return GrantTableStatus.GeneralError;
        }

        ulong address = EntryAddress(reference);
        ushort ownerId = PhysicalMemory.Read<ushort>(address + GrantTableEntry.TransitiveDomainOffset);
        uint ownerReference = PhysicalMemory.Read<uint>(address + GrantTableEntry.TransitiveReferenceOffset);
        Domain? owner = allowTransitive && ownerId != _domain.Id ? FrameOwners.Find(ownerId) : null;
        GrantTable? ownerTable = owner?.Grants;
        if (ownerTable == null)
        {
            ReduceStatus(reference, before.Pins, use.IsReadOnly);
            _entries.Release();
            return GrantTableStatus.GeneralError;
        }

        // The other table is acquired without this lock; meanwhile the version stays.
        _partialEntriesInUse++;
        _entries.Release();
        short status = ownerTable.AcquirePassedOn(_domain.Id, ownerReference, use, out AcquiredGrant passedOn);
        _entries.Acquire();
        _partialEntriesInUse--;
        ref ActiveGrant active = ref _active[reference];
        bool mustGiveBack = status == GrantTableStatus.Okay;
        if (mustGiveBack)
        {
            ActiveGrant target = default;
            target.Frame = passedOn.Frame;
            target.Grantee = grantee;
            target.Start = passedOn.Start;
            target.Length = passedOn.Length;
            target.IsPartial = 1;
            target.FrameOwner = ownerId;
            target.OwnerReference = ownerReference;
            if (IsUnchanged(in active, in before, in target))
            {
                Begin(ref active, in target, use, out grant);
                _entries.Release();
                return GrantTableStatus.Okay;
            }

            status = Busy;
        }

        ReduceStatus(reference, active.Pins, use.IsReadOnly);
        _entries.Release();
        if (mustGiveBack)
        {
            FrameReference.Put(passedOn.Frame);
            ownerTable.ReleaseUse(ownerReference, use);
        }

        return status;
    }

    /// <summary>Begins a use of a grant that the grantee passes on: the frame gets a reference, but no type count.</summary>
    private short AcquirePassedOn(ushort grantee, uint reference, GrantUse use, out AcquiredGrant grant)
    {
        grant = default;
        if (_domain.IsDying)
        {
            return GrantTableStatus.GeneralError;
        }

        _entries.Acquire();
        short status = CheckUse(grantee, reference, use);
        if (status == GrantTableStatus.Okay)
        {
            status = _version == 2 && IsTransitive(reference)
                ? GrantTableStatus.GeneralError
                : AcquireOwn(grantee, reference, use, out grant);
        }

        _entries.Release();
        return status;
    }

    private static bool IsUnchanged(in ActiveGrant now, in ActiveGrant before, in ActiveGrant target) =>
        now.Pins == before.Pins
        && (now.Pins == 0
            || (now.Grantee == target.Grantee && now.Frame == target.Frame && now.Start == target.Start
                && now.Length == target.Length && now.FrameOwner == target.FrameOwner
                && now.OwnerReference == target.OwnerReference && now.IsPartial != 0));
}
