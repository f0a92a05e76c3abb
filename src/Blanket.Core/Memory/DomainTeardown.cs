using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>How far the teardown of a domain's memory has come.</summary>
internal struct TeardownProgress
{
    /// <summary>0: vCPUs; 1-3: frames, forcing tables of level 4, 3, 2 (and 1); 4: done.</summary>
    public int Stage;

    /// <summary>Next frame of the stage.</summary>
    public ulong Frame;
}

/// <summary>
/// Takes all memory from a dying domain. It goes by the records of the frames, not by lists, so it copes with whatever an
/// abandoned handler left. Frames that others still refer to are freed when these let go (<see cref="Domain.OwnsNoFrames"/>).
/// </summary>
public static class DomainTeardown
{
    private const int DoneStage = 4;

    // The stage of level 2 does level 1 too.
    private const int LastLevel = 2;
    private const ulong RecordsBetweenChecks = 1024;

    /// <summary>
    /// Goes on with the teardown. The domain is dying, its vCPUs run no more, and the CPUs that ran them have left them
    /// (<see cref="TlbFlush.LeaveVcpu"/>); grants and others have dropped or will drop their own references.
    /// </summary>
    /// <returns>0 when nothing is left to do, -ERESTART when it should be called again.</returns>
    public static int Run(Domain domain)
    {
        Check.That(domain.IsDying);
        ref TeardownProgress progress = ref domain.Teardown;
        if (progress.Stage == 0)
        {
            if (!TryRemoveVcpuTables(domain))
            {
                return -Errno.ERESTART;
            }

            MemoryMaps.Free(domain);
            progress.Stage = 1;
        }

        while (progress.Stage < DoneStage)
        {
            domain.PageTableLock.Acquire();
            bool complete = TryRunStage(domain, ref progress);
            domain.PageTableLock.Release();
            FrameQuarantine.Drain();
            if (!complete)
            {
                return -Errno.ERESTART;
            }

            progress.Stage++;
            progress.Frame = 0;
        }

        return 0;
    }

    private static bool TryRemoveVcpuTables(Domain domain)
    {
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu == null)
            {
                continue;
            }

            if (RootTable.Remove(vcpu) != 0)
            {
                return false;
            }

            domain.PageTableLock.Acquire();
            GuestDescriptorTable.DropLocked(vcpu);
            LocalDescriptorTable.DropLocked(vcpu);
            domain.PageTableLock.Release();
            vcpu.LdtEntries = 0;
        }

        return true;
    }

    private static bool TryRunStage(Domain domain, ref TeardownProgress progress)
    {
        ulong limit = FrameTable.Limit;
        int level = 5 - progress.Stage;
        while (progress.Frame < limit)
        {
            ulong frame = progress.Frame;
            ref FrameInfo info = ref FrameTable.Of(frame);
            if (info.Owner == domain.Id && info.State == FrameState.Domain)
            {
                if (!TryTearDown(domain, frame, ref info, level))
                {
                    return false;
                }

                // Each go takes a step, also when there is always something else to do.
                if (Preemption.IsNeeded)
                {
                    progress.Frame++;
                    return false;
                }
            }
            else if (frame % RecordsBetweenChecks == 0 && Preemption.IsNeeded)
            {
                progress.Frame++;
                return false;
            }

            progress.Frame++;
        }

        return true;
    }

    /// <returns>False when suspended: the same frame again.</returns>
    private static bool TryTearDown(Domain domain, ulong frame, ref FrameInfo info, int level)
    {
        if (!ReferenceCount.TryGet(frame, ref info, domain.Id))
        {
            // Somebody is freeing it at this moment.
            return true;
        }

        bool complete = TryUnpin(domain, frame, ref info);
        if (complete && (Volatile.Read(ref info.Count) & ReferenceCount.Shared) == 0)
        {
            complete = TryForce(domain, frame, ref info, level);
            if (!AwaitsLaterStage(Volatile.Read(ref info.Type), level))
            {
                ReferenceCount.TryPutAllocated(ref info);
            }
        }

        ReferenceCount.Put(frame, ref info);
        return complete;
    }

    /// <summary>
    /// Whether a handler was abandoned while it worked on a table of a level whose stage is still to come. Nobody but the owner may have
    /// a reference on it, so the owner keeps its own until then.
    /// </summary>
    private static bool AwaitsLaterStage(ulong type, int level) =>
        FrameType.IsTable(type)
        && (type & FrameType.CountMask) != 0
        && (type & (FrameType.Validated | FrameType.Partial)) == 0
        && FrameType.Level(type) < level
        && level > LastLevel;

    private static bool TryUnpin(Domain domain, ulong frame, ref FrameInfo info)
    {
        ulong type = Volatile.Read(ref info.Type);
        if ((type & FrameType.Pinned) == 0)
        {
            return true;
        }

        Volatile.Write(ref info.Type, type & ~FrameType.Pinned);
        int result = PageTableReference.Put(domain, frame, false, 0);

        // Suspended or not, the pin's reference goes; a partial table is finished by the stage of its level.
        ReferenceCount.Put(frame, ref info);
        return result == 0;
    }

    /// <summary>
    /// Undoes a table that is still validated, or in part: a suspended one, or one whose counts an abandoned handler left behind.
    /// </summary>
    private static bool TryForce(Domain domain, ulong frame, ref FrameInfo info, int level)
    {
        ulong type = Volatile.Read(ref info.Type);
        int own = FrameType.Level(type);
        bool ofStage = own == level || (level == LastLevel && own == 1);
        if (!ofStage || (type & FrameType.CountMask) == 0)
        {
            return true;
        }

        bool wasPartial = (type & FrameType.Partial) != 0;
        bool wasValid = (type & FrameType.Validated) != 0;
        if (wasValid)
        {
            TableProgress.Set(ref info, PageTableEntry.Count, false);
        }

        ulong bare = type & ~(FrameType.Validated | FrameType.Partial);
        Volatile.Write(ref info.Type, bare);
        if (PageTableRelease.Run(domain, frame, ref info, own) != 0)
        {
            if (!wasPartial)
            {
                // The partial flag owns a count and a reference of its own.
                bare++;
                ReferenceCount.GetHeld(ref info);
            }

            Volatile.Write(ref info.Type, bare | FrameType.Partial);
            return false;
        }

        TableProgress.Set(ref info, 0, false);
        if (!wasValid)
        {
            // The count of the suspended or abandoned work; other counts are dropped by those who hold them.
            Volatile.Write(ref info.Type, bare - 1);
        }

        if (wasPartial)
        {
            ReferenceCount.Put(frame, ref info);
        }

        return true;
    }
}
