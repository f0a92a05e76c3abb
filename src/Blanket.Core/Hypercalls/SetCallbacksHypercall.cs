using Blanket.Abi.Xen;
using Blanket.Core.Domains;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_set_callbacks: event, failsafe and syscall entry at once; the last masks no events.</summary>
public static class SetCallbacksHypercall
{
    /// <summary>A1 event, A2 failsafe, A3 syscall callback.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        // An address that is not canonical is skipped; the call has no way to tell which one it was.
        _ = GuestCallbacks.Register(caller, Callback.TypeEvent, arguments.A1, masksEvents: false);
        _ = GuestCallbacks.Register(caller, Callback.TypeFailsafe, arguments.A2, masksEvents: false);
        _ = GuestCallbacks.Register(caller, Callback.TypeSyscall, arguments.A3, masksEvents: false);
        return 0;
    }
}
