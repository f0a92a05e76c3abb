using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_set_timer_op (xen/include/public/xen.h): the caller's one-shot timer.</summary>
public static class SetTimerHypercall
{
    /// <summary>A1 absolute system time in ns; 0 stops the timer. A time in the past fires at once.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        if (arguments.A1 == 0)
        {
            TimerQueue.Cancel(caller.SingleshotTimer);
            return 0;
        }

        // A negative time is one that has overflowed in the guest: never, as far as anybody can tell.
        const ulong Never = 1UL << 63;
        if (arguments.A1 < Never)
        {
            Scheduler.Arm(caller.SingleshotTimer, arguments.A1);
        }

        return 0;
    }
}
