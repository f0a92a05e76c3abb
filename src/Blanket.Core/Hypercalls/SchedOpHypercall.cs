using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Scheduling;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_sched_op (xen/include/public/sched.h).</summary>
public static class SchedOpHypercall
{
    private const uint MaximumPolledPorts = 128;

    /// <summary>A1 sub-operation, A2 guest address of its argument.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        switch ((uint)arguments.A1)
        {
            case SchedOp.Yield:
                Scheduler.Yield(caller);
                return 0;
            case SchedOp.Block:
                Block(caller);
                return 0;
            case SchedOp.Shutdown:
                return Shutdown(caller, arguments.A2);
            case SchedOp.ShutdownCode:
                return PresetShutdown(caller, arguments.A2);
            case SchedOp.Poll:
                return Poll(caller, arguments.A2);
            case SchedOp.Watchdog:
                return SetWatchdog(caller, arguments.A2);
            case SchedOp.RemoteShutdown:
                return RemoteShutdown(caller, arguments.A2);
            case SchedOp.PinOverride:
                return -Errno.EPERM;
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>The number-6 hypercall of Xen 3.0: sub-operation and, for shutdown, the reason by value.</summary>
    public static long HandleCompat(Vcpu caller, ref HypercallArguments arguments)
    {
        switch ((uint)arguments.A1)
        {
            case SchedOp.Yield:
                Scheduler.Yield(caller);
                return 0;
            case SchedOp.Block:
                Block(caller);
                return 0;
            case SchedOp.Shutdown:
                caller.Domain.ShutDown((ShutdownReason)(uint)arguments.A2);
                return 0;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static void Block(Vcpu caller)
    {
        // Blocking unmasks events: a guest that masked them would never wake up.
        ref VcpuState state = ref caller.State;
        state.UpcallMask = 0;
        if (!state.IsUpcallPending)
        {
            BlockUnlessPending(caller);
        }
    }

    // An event may arrive on another CPU between the look and the block: look again afterwards.
    private static void BlockUnlessPending(Vcpu caller)
    {
        Scheduler.Block(caller);
        if (caller.State.HasUnmaskedEvent)
        {
            Scheduler.Wake(caller);
        }
    }

    private static long Shutdown(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out uint reason))
        {
            return -Errno.EFAULT;
        }

        caller.Domain.ShutDown((ShutdownReason)reason);
        return 0;
    }

    private static long PresetShutdown(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out uint reason))
        {
            return -Errno.EFAULT;
        }

        caller.Domain.PresetReason ??= (ShutdownReason)reason;
        return 0;
    }

    private static long RemoteShutdown(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out SchedRemoteShutdown _))
        {
            return -Errno.EFAULT;
        }

        return -Errno.EPERM;
    }

    private static long Poll(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out SchedPoll poll))
        {
            return -Errno.EFAULT;
        }

        if (poll.PortCount > MaximumPolledPorts)
        {
            return -Errno.EINVAL;
        }

        EventChannels events = caller.Domain.Events!;
        VcpuSchedule schedule = caller.Schedule;
        uint only = 0;
        for (uint i = 0; i < poll.PortCount; i++)
        {
            if (!GuestMemory.TryReadElement(poll.Ports, i, out only))
            {
                return -Errno.EFAULT;
            }

            int pending = events.IsPending(only);
            if (pending != 0)
            {
                return pending < 0 ? pending : 0;
            }
        }

        if (caller.State.HasUnmaskedEvent)
        {
            return 0;
        }

        schedule.PolledPort = poll.PortCount == 1 ? only : uint.MaxValue;
        Scheduler.Block(caller);
        events.StartPolling(caller);
        if (poll.Timeout != 0)
        {
            Scheduler.Arm(caller.PollTimer, poll.Timeout);
        }

        // An event that came between the first look and StartPolling woke nobody: look again.
        if (caller.State.HasUnmaskedEvent || AnyPending(events, poll))
        {
            Scheduler.Wake(caller);
        }

        return 0;
    }

    private static bool AnyPending(EventChannels events, in SchedPoll poll)
    {
        for (uint i = 0; i < poll.PortCount; i++)
        {
            if (GuestMemory.TryReadElement(poll.Ports, i, out uint port) && events.IsPending(port) > 0)
            {
                return true;
            }
        }

        return false;
    }

    private static long SetWatchdog(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out SchedWatchdog watchdog))
        {
            return -Errno.EFAULT;
        }

        return caller.Domain.Watchdogs.Set(watchdog.Id, watchdog.Timeout);
    }
}
