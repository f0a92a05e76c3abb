using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;

namespace Blanket.Core.Memory;

/// <summary>Domain ids in arguments of memory hypercalls.</summary>
internal static class FrameOwnerArgument
{
    /// <summary>
    /// The domain whose frames a batch maps ("foreigndom"). The caller names itself as DOMID_SELF only; the pseudo-domains of
    /// device memory and of the hypervisor own nothing that a guest here may map.
    /// </summary>
    /// <returns>0; -ESRCH for no such domain; -EPERM for one that the caller may not name.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int Find(Domain caller, ushort id, out Domain owner)
    {
        owner = caller;
        return id == DomainId.Self ? 0 : FindNamed(caller, id, out owner);
    }

    private static int FindNamed(Domain caller, ushort id, out Domain owner)
    {
        owner = caller;
        if (id == caller.Id || id >= DomainId.FirstReserved)
        {
            return id is DomainId.Io or DomainId.Xen && !caller.MayManageMemory ? -Errno.EPERM : -Errno.ESRCH;
        }

        Domain? found = FrameOwners.Find(id);
        if (found == null || found.IsDying)
        {
            return -Errno.ESRCH;
        }

        owner = found;
        return caller.MayManageMemory ? 0 : -Errno.EPERM;
    }

    /// <summary>The domain that a request is about, by its id or DOMID_SELF.</summary>
    /// <returns>0; -ESRCH for no such domain; -EPERM for another domain when the caller may not manage others.</returns>
    internal static int FindAny(Domain caller, ushort id, out Domain subject)
    {
        subject = caller;
        if (id == DomainId.Self || id == caller.Id)
        {
            return 0;
        }

        Domain? found = FrameOwners.Find(id);
        if (found == null)
        {
            return -Errno.ESRCH;
        }

        subject = found;
        return caller.MayManageMemory ? 0 : -Errno.EPERM;
    }
}
