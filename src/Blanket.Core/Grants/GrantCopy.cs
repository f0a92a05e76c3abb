using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>Copies into and out of granted pages: GNTTABOP_copy, and the same for the built-in services.</summary>
public static class GrantCopy
{
    private const int Attempts = 4;

    // One end of a copy while it is held.
    private struct End
    {
        public Domain Owner;
        public uint Reference;
        public bool IsGrant;
        public AcquiredGrant Grant;
    }

    /// <summary>Copies bytes into a page that a guest has granted to the services.</summary>
    /// <param name="granter">The guest.</param>
    /// <param name="reference">Its grant reference.</param>
    /// <param name="offset">First byte in the page.</param>
    /// <param name="source">The bytes; offset + length is at most 4,096.</param>
    /// <returns>0; -ENOENT for a bad reference; -EACCES when the entry does not allow it; -EFAULT for a bad frame; -EINVAL for a range outside of the grant.</returns>
    public static int TryCopyToGrant(Domain granter, uint reference, uint offset, ReadOnlySpan<byte> source)
    {
        int error = TryAcquire(granter, reference, isReadOnly: false, out AcquiredGrant grant);
        if (error != 0)
        {
            return error;
        }

        bool fits = Covers(in grant, offset, (uint)source.Length);
        if (fits)
        {
            source.CopyTo(PhysicalMemory.Bytes((grant.Frame << Cpu.PageShift) + offset, source.Length));
        }

        granter.Grants!.Release(reference, GrantUse.Access(isReadOnly: false), grant.Frame);
        return fits ? 0 : -Errno.EINVAL;
    }

    /// <summary>Copies bytes out of a page that a guest has granted to the services; the guest may be changing them.</summary>
    /// <param name="granter">The guest.</param>
    /// <param name="reference">Its grant reference.</param>
    /// <param name="offset">First byte in the page.</param>
    /// <param name="destination">Where they go; offset + length is at most 4,096.</param>
    /// <returns>As <see cref="TryCopyToGrant"/>.</returns>
    public static int TryCopyFromGrant(Domain granter, uint reference, uint offset, Span<byte> destination)
    {
        int error = TryAcquire(granter, reference, isReadOnly: true, out AcquiredGrant grant);
        if (error != 0)
        {
            return error;
        }

        bool fits = Covers(in grant, offset, (uint)destination.Length);
        if (fits)
        {
            PhysicalMemory.Bytes((grant.Frame << Cpu.PageShift) + offset, destination.Length).CopyTo(destination);
        }

        granter.Grants!.Release(reference, GrantUse.Access(isReadOnly: true), grant.Frame);
        return fits ? 0 : -Errno.EINVAL;
    }

    private static int TryAcquire(Domain granter, uint reference, bool isReadOnly, out AcquiredGrant grant)
    {
        grant = default;
        if (granter.Grants == null)
        {
            return -Errno.ENOENT;
        }

        short status = GrantTable.Busy;
        for (int attempt = 0; attempt < Attempts && status == GrantTable.Busy; attempt++)
        {
            status = granter.Grants.Acquire(DomainId.Services, reference, GrantUse.Access(isReadOnly), allowTransitive: true, out grant);
        }

        return GrantPin.ToErrno(status);
    }

    /// <summary>One copy of a guest's batch.</summary>
    /// <returns>GNTST_*, or <see cref="GrantTable.Busy"/> to try again.</returns>
    internal static short Copy(Domain caller, in GrantCopyArgument argument)
    {
        short status = Find(caller, in argument.Source, (argument.Flags & GrantCopyArgument.SourceIsGrant) != 0, out End source);
        if (status != GrantTableStatus.Okay)
        {
            return status;
        }

        status = Find(caller, in argument.Destination, (argument.Flags & GrantCopyArgument.DestinationIsGrant) != 0, out End destination);
        if (status != GrantTableStatus.Okay)
        {
            return status;
        }

        status = Hold(caller, argument.Source.Frame, isReadOnly: true, ref source);
        if (status != GrantTableStatus.Okay)
        {
            return status;
        }

        status = Hold(caller, argument.Destination.Frame, isReadOnly: false, ref destination);
        if (status == GrantTableStatus.Okay)
        {
            status = CopyHeld(in argument, in source, in destination);
            Drop(in destination, isReadOnly: false);
        }

        Drop(in source, isReadOnly: true);
        return status;
    }

    private static short Find(Domain caller, in GrantCopyPointer pointer, bool isGrant, out End end)
    {
        end = default;
        if (pointer.Domain != DomainId.Self && !isGrant)
        {
            return GrantTableStatus.PermissionDenied;
        }

        Domain? owner = DomainAccess.Find(caller, pointer.Domain);
        if (owner?.Grants == null)
        {
            return GrantTableStatus.BadDomain;
        }

        end.Owner = owner;
        end.Reference = pointer.Reference;
        end.IsGrant = isGrant;
        return GrantTableStatus.Okay;
    }

    private static short Hold(Domain caller, ulong frame, bool isReadOnly, ref End end)
    {
        if (end.IsGrant)
        {
            return end.Owner.Grants!.Acquire(
                caller.Id, end.Reference, GrantUse.Access(isReadOnly), allowTransitive: true, out end.Grant);
        }

        if (!FrameReference.TryGet(caller, frame))
        {
            return GrantTableStatus.BadPage;
        }

        if (!isReadOnly && !WritableType.TryGet(ref FrameTable.Of(frame)))
        {
            FrameReference.Put(frame);
            return GrantTableStatus.GeneralError;
        }

        end.Grant.Frame = frame;
        end.Grant.Length = Cpu.PageSize;
        return GrantTableStatus.Okay;
    }

    private static void Drop(in End end, bool isReadOnly)
    {
        if (end.IsGrant)
        {
            end.Owner.Grants!.Release(end.Reference, GrantUse.Access(isReadOnly), end.Grant.Frame);
        }
        else if (isReadOnly)
        {
            FrameReference.Put(end.Grant.Frame);
        }
        else
        {
            FrameReference.PutWritable(end.Grant.Frame);
        }
    }

    private static short CopyHeld(in GrantCopyArgument argument, in End source, in End destination)
    {
        uint length = argument.Length;
        if (argument.Source.Offset + length > Cpu.PageSize || argument.Destination.Offset + length > Cpu.PageSize)
        {
            return GrantTableStatus.BadCopyArgument;
        }

        if (!Covers(in source.Grant, argument.Source.Offset, length) || !Covers(in destination.Grant, argument.Destination.Offset, length))
        {
            return GrantTableStatus.GeneralError;
        }

        Span<byte> from = PhysicalMemory.Bytes((source.Grant.Frame << Cpu.PageShift) + argument.Source.Offset, (int)length);
        from.CopyTo(PhysicalMemory.Bytes((destination.Grant.Frame << Cpu.PageShift) + argument.Destination.Offset, (int)length));
        return GrantTableStatus.Okay;
    }

    private static bool Covers(in AcquiredGrant grant, uint offset, uint length) =>
        offset >= grant.Start && length <= grant.Length && offset - grant.Start <= grant.Length - length;
}
