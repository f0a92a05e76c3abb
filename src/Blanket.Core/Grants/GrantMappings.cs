using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>What is left of an unmapping until the TLBs have been flushed.</summary>
internal struct PendingUnmap
{
    public Domain? Granter;
    public uint Reference;
    public ulong Frame;

    /// <summary>GNTMAP_device_map and GNTMAP_host_map for what was undone, and GNTMAP_readonly.</summary>
    public uint Done;
}

/// <summary>Mappings of other domains' grants: GNTTABOP_map_grant_ref, unmap_grant_ref, unmap_and_replace.</summary>
internal static class GrantMappings
{
    /// <summary>Maps one grant; the result is in the argument.</summary>
    public static void Map(Vcpu caller, ref GrantMapArgument argument)
    {
        GrantUse use = GrantUse.Mapping(argument.Flags);
        if (use.IsNone)
        {
            argument.Status = GrantTableStatus.BadReference;
            return;
        }

        Domain? granter = FrameOwners.Find(argument.Domain);
        if (granter?.Grants == null)
        {
            argument.Status = GrantTableStatus.BadDomain;
            return;
        }

        MapTracks tracks = caller.Domain.Grants!.MapTracks;
        if (!tracks.TryReserve(out uint handle))
        {
            argument.Status = GrantTableStatus.NoSpace;
            return;
        }

        argument.Status = MapFrame(caller, granter, in argument, use, out ulong frame);
        if (argument.Status != GrantTableStatus.Okay)
        {
            tracks.Free(handle);
            return;
        }

        tracks.Set(handle, granter.Id, argument.Reference, argument.Flags & GrantMapFlags.Remembered);
        argument.Handle = handle;
        argument.DeviceBusAddress = frame << Cpu.PageShift;
    }

    private static short MapFrame(Vcpu caller, Domain granter, in GrantMapArgument argument, GrantUse use, out ulong frame)
    {
        GrantTable table = granter.Grants!;
        short status = table.Acquire(caller.Domain.Id, argument.Reference, use, allowTransitive: false, out AcquiredGrant grant);
        frame = grant.Frame;
        if (status != GrantTableStatus.Okay || (argument.Flags & GrantMapFlags.Host) == 0)
        {
            return status;
        }

        // The page-table entry and the device each own a reference.
        bool forDevice = (argument.Flags & GrantMapFlags.Device) != 0;
        bool hasBoth = forDevice && TryGetReference(granter, frame, use.IsReadOnly);
        status = hasBoth || !forDevice
            ? HostMapping.Create(caller, argument.HostAddress, frame, argument.Flags)
            : GrantTableStatus.GeneralError;
        if (status == GrantTableStatus.Okay)
        {
            return status;
        }

        if (hasBoth)
        {
            PutReference(frame, use.IsReadOnly);
        }

        table.Release(argument.Reference, use, frame);
        return status;
    }

    /// <summary>Undoes one mapping, up to what has to wait for the TLB flush.</summary>
    /// <param name="caller">The unmapping vCPU.</param>
    /// <param name="argument">host_addr, dev_bus_addr, handle.</param>
    /// <param name="replacement">new_addr of GNTTABOP_unmap_and_replace; 0 for none.</param>
    /// <param name="pending">For <see cref="Complete"/>.</param>
    /// <returns>GNTST_*.</returns>
    public static short Unmap(Vcpu caller, in GrantUnmapArgument argument, ulong replacement, out PendingUnmap pending)
    {
        pending = default;
        MapTracks tracks = caller.Domain.Grants!.MapTracks;
        if (!tracks.TryClaim(argument.Handle, out MapTrack mapping))
        {
            return GrantTableStatus.BadHandle;
        }

        short status = UnmapClaimed(caller, in argument, replacement, in mapping, ref pending);
        uint left = mapping.Flags & ~(pending.Done & (GrantMapFlags.Device | GrantMapFlags.Host));
        if ((left & (GrantMapFlags.Device | GrantMapFlags.Host)) == 0)
        {
            tracks.Free(argument.Handle);
        }
        else
        {
            tracks.Unclaim(argument.Handle, (ushort)left);
        }

        return status;
    }

    private static short UnmapClaimed(
        Vcpu caller, in GrantUnmapArgument argument, ulong replacement, in MapTrack mapping, ref PendingUnmap pending)
    {
        // A granter cannot go while grants of it are mapped.
        Domain? granter = FrameOwners.Find(mapping.Granter);
        if (granter?.Grants == null || !granter.Grants.TryGetFrame(caller.Domain.Id, mapping.Reference, out ulong frame))
        {
            return GrantTableStatus.BadHandle;
        }

        bool forDevice = argument.DeviceBusAddress != 0 && (mapping.Flags & GrantMapFlags.Device) != 0;
        if (forDevice && argument.DeviceBusAddress != frame << Cpu.PageShift)
        {
            return GrantTableStatus.BadDeviceAddress;
        }

        uint done = 0;
        if (argument.HostAddress != 0 && (mapping.Flags & GrantMapFlags.Host) != 0)
        {
            short status = HostMapping.Remove(caller, argument.HostAddress, frame, replacement, mapping.Flags);
            if (status != GrantTableStatus.Okay)
            {
                return status;
            }

            done |= GrantMapFlags.Host;
        }

        if (forDevice)
        {
            done |= GrantMapFlags.Device;
        }

        pending.Granter = granter;
        pending.Reference = mapping.Reference;
        pending.Frame = frame;
        pending.Done = done == 0 ? 0 : done | (mapping.Flags & GrantMapFlags.ReadOnly);
        return GrantTableStatus.Okay;
    }

    /// <summary>Ends what <see cref="Unmap"/> began, after the TLBs of the caller's domain have been flushed.</summary>
    public static void Complete(in PendingUnmap pending)
    {
        if (pending.Done == 0)
        {
            return;
        }

        GrantUse use = GrantUse.Mapping(pending.Done);
        const uint both = GrantMapFlags.Host | GrantMapFlags.Device;
        if ((pending.Done & both) == both)
        {
            PutReference(pending.Frame, use.IsReadOnly);
        }

        pending.Granter!.Grants!.Release(pending.Reference, use, pending.Frame);
    }

    /// <summary>
    /// Releases the mappings of a dying domain, after its page tables are gone: what page-table entries owned went with them. To be
    /// called until it returns true.
    /// </summary>
    public static bool TryReleaseAll(Domain domain)
    {
        MapTracks tracks = domain.Grants!.MapTracks;
        while (tracks.Used != 0 && tracks.ReleaseProgress < tracks.Count)
        {
            uint handle = tracks.ReleaseProgress++;
            MapTrack mapping = tracks.Read(handle);
            uint kinds = mapping.Flags & (GrantMapFlags.Device | GrantMapFlags.Host);
            if (kinds == 0)
            {
                continue;
            }

            GrantTable? table = FrameOwners.Find(mapping.Granter)?.Grants;
            if (table != null && table.TryGetFrame(domain.Id, mapping.Reference, out ulong frame))
            {
                if ((kinds & GrantMapFlags.Device) != 0)
                {
                    PutReference(frame, (mapping.Flags & GrantMapFlags.ReadOnly) != 0);
                }

                table.ReleaseUse(mapping.Reference, GrantUse.Mapping(mapping.Flags));
            }

            tracks.Free(handle);
            if (handle % Preemption.CheckInterval == 0 && Preemption.IsNeeded)
            {
                return false;
            }
        }

        return true;
    }

    private static bool TryGetReference(Domain granter, ulong frame, bool isReadOnly) =>
        isReadOnly ? FrameReference.TryGet(granter, frame) : FrameReference.TryGetWritable(granter, frame);

    private static void PutReference(ulong frame, bool isReadOnly)
    {
        if (isReadOnly)
        {
            FrameReference.Put(frame);
        }
        else
        {
            FrameReference.PutWritable(frame);
        }
    }
}
