using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>The number-16 hypercall of Xen 3.0: A1 is the guest address of struct evtchn_op (xen/include/public/event_channel.h).</summary>
public static class EventChannelOpCompatHypercall
{
    // The sub-operation, then its argument.
    private const ulong ArgumentOffset = 4;

    /// <summary>The sub-operations that existed then, as HYPERVISOR_event_channel_op has them; -ENOSYS for later ones.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        if (!GuestMemory.TryRead(arguments.A1, out int operation))
        {
            return -Errno.EFAULT;
        }

        if (operation is < EventChannelOp.BindInterdomain or > EventChannelOp.Unmask)
        {
            return -Errno.ENOSYS;
        }

        HypercallArguments modern = default;
        modern.A1 = (ulong)operation;
        modern.A2 = unchecked(arguments.A1 + ArgumentOffset);
        return EventChannelHypercalls.Handle(caller, ref modern);
    }
}
