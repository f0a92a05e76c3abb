using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>Gives frames to domains and takes them back.</summary>
public static class FrameOwnership
{
    /// <summary>Gives a domain one zeroed frame more, counted against its maximum.</summary>
    /// <returns>False when the domain may have no more, is dying, or memory is out.</returns>
    public static bool TryAllocate(Domain domain, out ulong frame) => TryAllocate(domain, 0, ulong.MaxValue, out frame);

    /// <summary>Gives a domain 2^order zeroed frames in a row, counted against its maximum.</summary>
    /// <param name="domain">Their owner.</param>
    /// <param name="order">0 to <see cref="FrameAllocator.MaximumOrder"/>.</param>
    /// <param name="frameLimit">Every frame is below this number.</param>
    /// <param name="frame">The first of them.</param>
    public static bool TryAllocate(Domain domain, int order, ulong frameLimit, out ulong frame)
    {
        frame = 0;
        ulong count = 1UL << order;
        if (domain.IsDying || !domain.TryReserveFrames(count))
        {
            return false;
        }

        if (!TryTake(order, frameLimit, domain.HasClaim, out frame))
        {
            domain.UncountFrames(count);
            return false;
        }

        Assign(domain, frame, order);
        return !domain.IsDying;
    }

    /// <summary>Takes zeroed frames for a guest from the allocator, without an owner yet.</summary>
    internal static bool TryTake(int order, ulong frameLimit, bool fromClaim, out ulong frame)
    {
        if (!FrameAllocator.TryAllocateForGuest(order, frameLimit, fromClaim, out frame))
        {
            FrameQuarantine.Drain();
            if (!FrameAllocator.TryAllocateForGuest(order, frameLimit, fromClaim, out frame))
            {
                return false;
            }
        }

        for (ulong i = 0; i < 1UL << order; i++)
        {
            PhysicalMemory.ZeroFrame(frame + i);
        }

        return true;
    }

    /// <summary>Makes a domain the owner of frames that it has already been charged for.</summary>
    internal static void Assign(Domain domain, ulong first, int order)
    {
        for (ulong i = 0; i < 1UL << order; i++)
        {
            ref FrameInfo info = ref FrameTable.Of(first + i);
            MachineToPhysical.Set(first + i, MachineToPhysical.Invalid);
            info.Type = FrameType.None;
            info.Owner = domain.Id;
            info.State = FrameState.Domain;
            // From here on others may take references.
            Volatile.Write(ref info.Count, ReferenceCount.Allocated | 1);
        }

        // Teardown may have passed these frames already: whoever clears the allocated flag drops the reference.
        Interlocked.MemoryBarrier();
        if (domain.IsDying)
        {
            for (ulong i = 0; i < 1UL << order; i++)
            {
                TryGiveUp(domain, first + i);
            }
        }
    }

    /// <summary>Drops the owner's own reference of a frame: it is freed when the last other reference goes.</summary>
    /// <returns>0; -ENXIO when the frame is not the domain's; -EINVAL for a shared frame or one that was given up before.</returns>
    internal static int TryGiveUp(Domain domain, ulong frame)
    {
        if (!FrameTable.IsValid(frame))
        {
            return -Errno.EINVAL;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        if (!ReferenceCount.TryGet(frame, ref info, domain.Id))
        {
            return -Errno.ENXIO;
        }

        bool dropped = (Volatile.Read(ref info.Count) & ReferenceCount.Shared) == 0 && ReferenceCount.TryPutAllocated(ref info);
        ReferenceCount.Put(frame, ref info);
        return dropped ? 0 : -Errno.EINVAL;
    }

    /// <summary>Takes a frame from its owner whose last reference is gone.</summary>
    internal static void Release(ulong frame, ref FrameInfo info)
    {
        bool shared = (info.Count & ReferenceCount.Shared) != 0;
        Check.That(info.State == FrameState.Domain && (info.Count & ReferenceCount.Allocated) == 0);
        Domain owner = FrameOwners.Of(in info);
        bool unused = (info.Type & (FrameType.CountMask | FrameType.Pinned | FrameType.Partial)) == 0;

        // In a dying domain an abandoned handler may have left a type count.
        Check.That(shared || unused || owner.IsDying);
        info.State = FrameState.Hypervisor;
        info.Owner = DomainId.Invalid;
        info.Type = FrameType.None;
        info.Count = 0;
        MachineToPhysical.Set(frame, MachineToPhysical.Invalid);
        FrameQuarantine.Add(frame, ref info);
        if (shared)
        {
            owner.UncountSharedFrame();
        }
        else
        {
            owner.UncountFrames(1);
        }
    }
}
