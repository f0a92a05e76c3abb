using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// XENMEM commands about guests with translated memory, and about sharing, paging and device memory: what a PV guest gets for each.
/// </summary>
internal static class TranslatedMemory
{
    internal static long Handle(Vcpu caller, uint command, ulong start, ulong argument)
    {
        Domain domain = caller.Domain;
        switch (command)
        {
            case MemoryCommand.AddToPhysmap:
                return AddToPhysmap(domain, start, argument);
            case MemoryCommand.AddToPhysmapBatch:
                return AddToPhysmapBatch(domain, start, argument);
            case MemoryCommand.RemoveFromPhysmap:
                return start != 0 ? -Errno.EINVAL : RequireTranslation(domain, argument);
            case MemoryCommand.SetPodTarget:
            case MemoryCommand.GetPodTarget:
                return PodTarget(domain, argument);
            case MemoryCommand.AccessOperation:
            case MemoryCommand.AcquireResource:
                // Only about other domains, and for control domains.
                return -Errno.EPERM;
            case MemoryCommand.GetSharingFreedPages:
            case MemoryCommand.GetSharingSharedPages:
                return 0;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long AddToPhysmap(Domain caller, ulong start, ulong argument)
    {
        if (start > ushort.MaxValue)
        {
            return -Errno.EDOM;
        }

        if (!GuestMemory.TryRead(argument, out MemoryAddToPhysmap request))
        {
            return -Errno.EFAULT;
        }

        return request.Space == MemoryAddToPhysmap.SpaceForeign ? -Errno.ENOSYS : Refuse(caller, request.DomainId);
    }

    private static long AddToPhysmapBatch(Domain caller, ulong start, ulong argument)
    {
        if (start > ushort.MaxValue)
        {
            return -Errno.EDOM;
        }

        if (!GuestMemory.TryRead(argument, out MemoryAddToPhysmapBatch request))
        {
            return -Errno.EFAULT;
        }

        return request.Space == MemoryAddToPhysmapBatch.SpaceRange ? -Errno.EOPNOTSUPP : Refuse(caller, request.DomainId);
    }

    private static long RequireTranslation(Domain caller, ulong argument) =>
        GuestMemory.TryRead(argument, out ushort id) ? Refuse(caller, id) : -Errno.EFAULT;

    /// <summary>No domain here has translated memory.</summary>
    private static long Refuse(Domain caller, ushort id) =>
        FrameOwnerArgument.FindAny(caller, id, out _) == -Errno.ESRCH ? -Errno.ESRCH : -Errno.EACCES;

    private static long PodTarget(Domain caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out MemoryPodTarget target))
        {
            return -Errno.EFAULT;
        }

        return FrameOwnerArgument.FindAny(caller, target.DomainId, out _) == -Errno.ESRCH ? -Errno.ESRCH : -Errno.EINVAL;
    }
}
