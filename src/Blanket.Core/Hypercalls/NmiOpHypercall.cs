using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_nmi_op (xen/include/public/nmi.h).</summary>
public static class NmiOpHypercall
{
    private const uint RegisterCallback = 0;
    private const uint UnregisterCallback = 1;

    private struct NmiCallback
    {
        public ulong Address;
        public ulong Unused;
    }

    /// <summary>A1 sub-operation, A2 guest address of its argument.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        switch ((uint)arguments.A1)
        {
            case RegisterCallback:
                return GuestMemory.TryRead(arguments.A2, out NmiCallback callback)
                    ? GuestCallbacks.Register(caller, Callback.TypeNmi, callback.Address, masksEvents: true)
                    : -Errno.EFAULT;
            case UnregisterCallback:
                return GuestCallbacks.Unregister(caller, Callback.TypeNmi);
            default:
                return -Errno.ENOSYS;
        }
    }
}
