using Blanket.Abi.Xen;

namespace Blanket.Core.Hypercalls;

/// <summary>Hypercalls that a guest which is not a control domain does not get.</summary>
public static class RefusedHypercalls
{
    /// <summary>The errno of a hypercall that is not carried out: -EPERM for those of a control domain, -ENOSYS for the rest.</summary>
    public static long ResultOf(ulong number) => number switch
    {
        HypercallNumber.PlatformOp => -Errno.EPERM,
        HypercallNumber.Sysctl => -Errno.EPERM,
        HypercallNumber.Domctl => -Errno.EPERM,
        HypercallNumber.KexecOp => -Errno.EPERM,
        HypercallNumber.HypfsOp => -Errno.EPERM,
        HypercallNumber.DmOp => -Errno.EPERM,
        HypercallNumber.MachineCheck => -Errno.EPERM,
        HypercallNumber.PagingDomctlContinuation => -Errno.EPERM,
        HypercallNumber.XenpmuOp => -Errno.EOPNOTSUPP,
        HypercallNumber.ArgoOp => -Errno.EOPNOTSUPP,
        _ => -Errno.ENOSYS,
    };
}
