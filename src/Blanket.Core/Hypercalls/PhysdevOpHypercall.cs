using System.Runtime.InteropServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_physdev_op (xen/include/public/physdev.h): of it, what a guest without devices may do.</summary>
public static class PhysdevOpHypercall
{
    private const uint IrqUnmaskNotify = 4;
    private const uint IrqStatusQuery = 5;
    private const uint SetIoPrivilegeLevel = 6;
    private const uint SetIoBitmap = 7;
    private const uint ApicRead = 8;
    private const uint ApicWrite = 9;
    private const uint AllocateIrqVector = 10;
    private const uint Eoi = 12;
    private const uint MapPirq = 13;
    private const uint UnmapPirq = 14;
    private const uint ManagePciAdd = 15;
    private const uint ManagePciRemove = 16;
    private const uint PirqEoiFrameV1 = 17;
    private const uint RestoreMsi = 19;
    private const uint ManagePciAddExt = 20;
    private const uint SetupGsi = 21;
    private const uint GetFreePirq = 23;
    private const uint PciMmcfgReserved = 24;
    private const uint PciDeviceAdd = 25;
    private const uint PciDeviceRemove = 26;
    private const uint RestoreMsiExt = 27;
    private const uint PirqEoiFrameV2 = 28;
    private const uint DebugPortOperation = 29;
    private const uint PrepareMsix = 30;
    private const uint ReleaseMsix = 31;
    private const uint MaximumPrivilegeLevel = 3;
    private const uint MaximumPorts = 65536;
    private const ulong BitmapBytes = MaximumPorts / 8;

    // struct physdev_op: the sub-operation, then its argument at the alignment of the widest one.
    private const ulong CompatArgumentOffset = 8;

    /// <summary>struct physdev_set_iobitmap.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly struct IoBitmap(ulong bitmap, uint ports)
    {
        public readonly ulong Bitmap = bitmap;
        public readonly uint Ports = ports;
        private readonly uint _padding = 0;
    }

    /// <summary>A1 sub-operation, A2 guest address of its argument.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments) => Execute(caller, (uint)arguments.A1, arguments.A2);

    /// <summary>The number-19 hypercall of Xen 3.0: A1 guest address of struct physdev_op.</summary>
    public static long HandleCompat(Vcpu caller, ref HypercallArguments arguments) =>
        GuestMemory.TryRead(arguments.A1, out uint operation)
            ? Execute(caller, operation, unchecked(arguments.A1 + CompatArgumentOffset))
            : -Errno.EFAULT;

    private static long Execute(Vcpu caller, uint operation, ulong argument)
    {
        switch (operation)
        {
            case SetIoPrivilegeLevel:
                return SetPrivilegeLevel(caller, argument);
            case SetIoBitmap:
                return SetBitmap(caller, argument);
            case IrqUnmaskNotify:
                // There is no physical interrupt to unmask.
                return 0;
            case Eoi:
            case IrqStatusQuery:
            case PirqEoiFrameV1:
            case PirqEoiFrameV2:
                // No guest has physical interrupts: every number is out of range.
                return -Errno.EINVAL;
            case GetFreePirq:
                return -Errno.ENOSPC;
            case MapPirq:
            case UnmapPirq:
            case ApicRead:
            case ApicWrite:
            case AllocateIrqVector:
            case ManagePciAdd:
            case ManagePciRemove:
            case ManagePciAddExt:
            case RestoreMsi:
            case RestoreMsiExt:
            case SetupGsi:
            case PciMmcfgReserved:
            case PciDeviceAdd:
            case PciDeviceRemove:
            case DebugPortOperation:
            case PrepareMsix:
            case ReleaseMsix:
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

    private static long SetBitmap(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out IoBitmap bitmap))
        {
            return -Errno.EFAULT;
        }

        if (bitmap.Ports > MaximumPorts || !AddressSpace.IsGuestRange(bitmap.Bitmap, BitmapBytes))
        {
            return -Errno.EINVAL;
        }

        caller.IoBitmapAddress = bitmap.Bitmap;
        caller.IoBitmapPorts = bitmap.Ports;
        return 0;
    }
}
