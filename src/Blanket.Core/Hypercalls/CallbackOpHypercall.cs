using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_callback_op (xen/include/public/callback.h).</summary>
public static class CallbackOpHypercall
{
    /// <summary>A1 sub-operation, A2 guest address of its argument.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        switch ((uint)arguments.A1)
        {
            case Callback.Register:
                return GuestMemory.TryRead(arguments.A2, out CallbackRegister register)
                    ? GuestCallbacks.Register(caller, register.Type, register.Address, (register.Flags & Callback.MaskEvents) != 0)
                    : -Errno.EFAULT;
            case Callback.Unregister:
                return GuestMemory.TryRead(arguments.A2, out CallbackUnregister unregister)
                    ? GuestCallbacks.Unregister(caller, unregister.Type)
                    : -Errno.EFAULT;
            default:
                return -Errno.ENOSYS;
        }
    }
}
