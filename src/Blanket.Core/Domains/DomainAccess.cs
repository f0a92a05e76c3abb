using Blanket.Abi.Xen;
using Blanket.Core.Memory;

namespace Blanket.Core.Domains;

/// <summary>Which domains a domain may name in event channel and grant table hypercalls.</summary>
internal static class DomainAccess
{
    /// <summary>A domain by the id that a guest gave; null when there is none.</summary>
    public static Domain? Find(Domain caller, ushort id) =>
        id == DomainId.Self || id == caller.Id ? caller : FrameOwners.Find(id);

    /// <summary>Whether a domain may act for another one: itself, or any for a control domain.</summary>
    public static bool MayActFor(Domain caller, Domain target) => caller == target || caller.MayManageMemory;

    /// <summary>A domain that the caller wants to act for.</summary>
    /// <returns>0, -ESRCH when there is none, -EPERM when the caller may not.</returns>
    public static int FindTarget(Domain caller, ushort id, out Domain? target)
    {
        target = Find(caller, id);
        return target == null ? -Errno.ESRCH : MayActFor(caller, target) ? 0 : -Errno.EPERM;
    }
}
