using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Frames of the hypervisor that a guest may map: shared_info, grant tables, per-vCPU areas. They belong to the domain for
/// references and mappings, but not to its reservation, and it cannot give them up.
/// </summary>
public static class SharedFrames
{
    /// <summary>
    /// Shares a zeroed hypervisor frame with a domain. The hypervisor goes on using it until <see cref="Withdraw"/>, which the one
    /// who shared it calls exactly once, at the latest when the domain is destroyed.
    /// </summary>
    /// <param name="frame">A frame from <see cref="FrameAllocator"/>.</param>
    /// <param name="domain">The domain that may map it.</param>
    /// <param name="readOnly">It may map it read-only, and never write it otherwise.</param>
    public static void Share(ulong frame, Domain domain, bool readOnly)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        Check.That(info.State == FrameState.Hypervisor && info.Count == 0);
        MachineToPhysical.Set(frame, MachineToPhysical.Invalid);
        domain.CountSharedFrame();

        // The type count keeps the type for as long as the frame is shared.
        info.Type = (readOnly ? FrameType.None : FrameType.Writable) | FrameType.Validated | 1;
        info.Owner = domain.Id;
        info.State = FrameState.Domain;
        Volatile.Write(ref info.Count, ReferenceCount.Shared | ReferenceCount.Allocated | 1);
    }

    /// <summary>
    /// Ends the sharing. The hypervisor does not touch the frame any more; it is freed when no mapping is left.
    /// </summary>
    /// <returns>0, or -EINVAL when the frame is not shared with the domain.</returns>
    public static int Withdraw(ulong frame, Domain domain)
    {
        if (!FrameReference.TryGet(domain, frame))
        {
            return -Errno.EINVAL;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        bool withdrawn = (Volatile.Read(ref info.Count) & ReferenceCount.Shared) != 0 && ReferenceCount.TryPutAllocated(ref info);
        FrameReference.Put(frame);
        return withdrawn ? 0 : -Errno.EINVAL;
    }
}
