using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_physdev_op (xen/include/public/physdev.h): of it, what a guest without devices may do.</summary>
public static class PhysdevOpHypercall
{
    private const uint Eoi = 12;
    private const uint PirqEoiFrameV1 = 17;
    private const uint PirqEoiFrameV2 = 28;
    private const uint IrqStatusQuery = 5;
    private const uint SetIoPrivilegeLevel = 6;
    private const uint SetIoBitmap = 7;
    private const uint ApicRead = 8;
    private const uint ApicWrite = 9;
    private const uint AllocateIrqVector = 10;
    private const uint MapPirq = 13;
    private const uint UnmapPirq = 14;
    private const uint ManagePciAdd = 15;
    private const uint DebugPortOperation = 29;
    private const uint MaximumPrivilegeLevel = 3;
    private const uint MaximumPorts = 65536;

    private struct IoBitmap
    {
        public ulong Bitmap;
        public uint Ports;
        public uint Padding;
    }

    /// <summary>A1 sub-operation, A2 guest address of its argument.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        switch ((uint)arguments.A1)
        {
            case SetIoPrivilegeLevel:
                return SetPrivilegeLevel(caller, arguments.A2);
            case SetIoBitmap:
                return CheckBitmap(arguments.A2);
            case Eoi:
            case IrqStatusQuery:
            case PirqEoiFrameV1:
            case PirqEoiFrameV2:
            case MapPirq:
            case UnmapPirq:
                // No domain but a control domain has physical interrupts.
                return -Errno.EINVAL;
            case ApicRead:
            case ApicWrite:
            case AllocateIrqVector:
            case >= ManagePciAdd and <= DebugPortOperation:
                return -Errno.EPERM;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long SetPrivilegeLevel(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out uint level))
        {
            return -Errno.EFAULT;
        }

        if (level > MaximumPrivilegeLevel)
        {
            return -Errno.EINVAL;
        }

        caller.State.IoPrivilegeLevel = (byte)level;
        return 0;
    }

    // A bitmap could only take ports away from a guest that has none.
    private static long CheckBitmap(ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out IoBitmap bitmap))
        {
            return -Errno.EFAULT;
        }

        return bitmap.Ports > MaximumPorts ? -Errno.EINVAL : 0;
    }
}
