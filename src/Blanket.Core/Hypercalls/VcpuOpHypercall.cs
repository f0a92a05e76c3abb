using Blanket.Abi.Xen;
using Blanket.Core.Building;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_vcpu_op (xen/include/public/vcpu.h).</summary>
public static class VcpuOpHypercall
{
    /// <summary>A1 sub-operation, A2 vCPU number, A3 guest address of its argument.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        uint id = (uint)arguments.A2;
        Vcpu?[] vcpus = caller.Domain.Vcpus;
        if (id >= (uint)vcpus.Length)
        {
            return -Errno.ENOENT;
        }

        Vcpu? target = vcpus[(int)id];
        if (target == null)
        {
            return -Errno.ENOENT;
        }

        ulong argument = arguments.A3;
        switch ((uint)arguments.A1)
        {
            case VcpuOp.Initialise:
                return Initialise(target, argument);
            case VcpuOp.Up:
                return Up(target);
            case VcpuOp.Down:
                return Down(target);
            case VcpuOp.IsUp:
                return target.Schedule.IsDown ? 0 : 1;
            case VcpuOp.GetRunStateInfo:
                return GetRunState(target, argument);
            case VcpuOp.RegisterRunStateMemoryArea:
                return RegisterRunStateArea(caller, target, argument);
            case VcpuOp.SetPeriodicTimer:
                return SetPeriodicTimer(target, argument);
            case VcpuOp.StopPeriodicTimer:
                target.PeriodicTimer.Start(0);
                return 0;
            case VcpuOp.SetSingleshotTimer:
                return SetSingleshotTimer(caller, target, argument);
            case VcpuOp.StopSingleshotTimer:
                return StopSingleshotTimer(caller, target);
            case VcpuOp.RegisterVcpuInfo:
                return RegisterVcpuInfo(caller, target, argument);
            case VcpuOp.SendNmi:
                return SendNmi(target);
            case VcpuOp.RegisterVcpuTimeMemoryArea:
                return VcpuTime.RegisterSecondaryArea(caller, target, argument);
            case VcpuOp.GetPhysicalId:
                // Only for a hardware domain whose vCPUs are pinned.
                return -Errno.EINVAL;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long Initialise(Vcpu target, ulong argument)
    {
        if (target.Schedule.IsInitialised)
        {
            return -Errno.EEXIST;
        }

        if (target.Info.Address == 0)
        {
            return -Errno.EINVAL;
        }

        if (!GuestMemory.TryRead(argument, out VcpuGuestContext context))
        {
            return -Errno.EFAULT;
        }

        long result = VcpuContext.TryInstall(target, in context);
        if (result == 0 && target.Schedule.IsInitialised)
        {
            VcpuTime.Update(target);
        }

        return result;
    }

    private static long Up(Vcpu target)
    {
        if (!target.Schedule.IsInitialised)
        {
            return -Errno.EINVAL;
        }

        Scheduler.SetDown(target, false);
        return 0;
    }

    private static long Down(Vcpu target)
    {
        // The last vCPU that goes down takes the domain with it (as Xen: SHUTDOWN_poweroff). Look and change are one step among those that go
        // down: one that brings another up and goes down itself is not seen as down without the other being seen as up.
        Domain domain = target.Domain;
        domain.ContextLock.Acquire();
        bool isLast = IsLastUp(target);
        if (!isLast)
        {
            Scheduler.SetDown(target, true);
        }

        domain.ContextLock.Release();
        if (isLast)
        {
            domain.ShutDown(ShutdownReason.PowerOff);
        }

        return 0;
    }

    private static bool IsLastUp(Vcpu target)
    {
        foreach (Vcpu? other in target.Domain.Vcpus)
        {
            if (other != null && other != target && !System.Threading.Volatile.Read(ref other.Schedule.IsDown))
            {
                return false;
            }
        }

        return true;
    }

    private static long GetRunState(Vcpu target, ulong argument)
    {
        RunStateArea.ReadNow(target, out VcpuRunStateInfo info);
        return GuestMemory.TryWrite(argument, in info) ? 0 : -Errno.EFAULT;
    }

    private static long RegisterRunStateArea(Vcpu caller, Vcpu target, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out ulong area))
        {
            return -Errno.EFAULT;
        }

        target.Schedule.RunStateArea = area;
        if (caller == target)
        {
            RunStateArea.Update(target);
        }
        else
        {
            RunStateArea.ReadNow(target, out VcpuRunStateInfo info);
            GuestMemory.TryWrite(area, in info);
        }

        return 0;
    }

    private static long SetPeriodicTimer(Vcpu target, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out ulong period))
        {
            return -Errno.EFAULT;
        }

        // Longer than 30 years is as good as never, and keeps sums of times from wrapping around.
        const ulong MaximumPeriod = 1UL << 60;
        if (period < PeriodicTimer.MinimumPeriod || period > MaximumPeriod)
        {
            return -Errno.EINVAL;
        }

        target.PeriodicTimer.Start(period);
        return 0;
    }

    private static long SetSingleshotTimer(Vcpu caller, Vcpu target, ulong argument)
    {
        if (caller != target)
        {
            return -Errno.EINVAL;
        }

        if (!GuestMemory.TryRead(argument, out VcpuSetSingleshotTimer set))
        {
            return -Errno.EFAULT;
        }

        if ((set.Flags & VcpuOp.SingleshotFuture) != 0 && set.TimeoutAbsoluteNs < SystemTime.Now)
        {
            return -Errno.ETIME;
        }

        Scheduler.Arm(target.SingleshotTimer, set.TimeoutAbsoluteNs);
        return 0;
    }

    private static long StopSingleshotTimer(Vcpu caller, Vcpu target)
    {
        if (caller != target)
        {
            return -Errno.EINVAL;
        }

        TimerQueue.Cancel(target.SingleshotTimer);
        return 0;
    }

    private static long RegisterVcpuInfo(Vcpu caller, Vcpu target, ulong argument)
    {
        // One that runs elsewhere would lose its mask and what becomes pending meanwhile.
        if (target != caller && !target.Schedule.IsDown)
        {
            return -Errno.EINVAL;
        }

        if (!GuestMemory.TryRead(argument, out VcpuRegisterVcpuInfo registration))
        {
            return -Errno.EFAULT;
        }

        int result = target.Info.Register(target, registration.Frame, registration.Offset);
        if (result == 0)
        {
            VcpuTime.Update(target);
        }

        return result;
    }

    private static long SendNmi(Vcpu target)
    {
        if (target.State.NmiCallback == 0)
        {
            return -Errno.EINVAL;
        }

        target.Schedule.IsNmiPending = true;
        Scheduler.Wake(target);
        return 0;
    }
}
