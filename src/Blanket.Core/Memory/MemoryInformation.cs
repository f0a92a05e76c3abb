using System;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>XENMEM commands that ask for sizes, and those about reservations that only control domains may change.</summary>
internal static class MemoryInformation
{
    // Offset of arch.max_pfn in struct shared_info (xen/include/public/xen.h, arch-x86/xen.h).
    private const ulong MaximumPfnOffset = 3088;
    private const int VnumaTopologySize = 40;

    internal static long Handle(Vcpu caller, uint command, ulong argument)
    {
        switch (command)
        {
            case MemoryCommand.MaximumRamPage:
                return (long)FrameTable.Limit;
            case MemoryCommand.ClaimPages:
                return Claim(caller.Domain, argument);
            case MemoryCommand.GetVnumaInfo:
                return GetVnumaInfo(caller.Domain, argument);
            default:
                return GetReservation(caller.Domain, command, argument);
        }
    }

    private static long GetReservation(Domain caller, uint command, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out ushort id))
        {
            return -Errno.EFAULT;
        }

        int result = FrameOwnerArgument.FindAny(caller, id, out Domain subject);
        if (result != 0)
        {
            return result;
        }

        switch (command)
        {
            case MemoryCommand.CurrentReservation:
                return (long)subject.FrameCount;
            case MemoryCommand.MaximumReservation:
                return (long)subject.MaximumFrames;
            default:
                return MaximumGpfn(subject);
        }
    }

    private static long MaximumGpfn(Domain subject)
    {
        ulong frame = subject.SharedInfoFrame;
        ulong count = frame == 0
            ? 0
            : Volatile.Read(ref PhysicalMemory.At<ulong>((frame << Cpu.PageShift) + MaximumPfnOffset));
        return count == 0 ? 0 : unchecked((long)(count - 1));
    }

    private static long Claim(Domain caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out MemoryReservation reservation))
        {
            return -Errno.EFAULT;
        }

        if (reservation.ExtentStart != 0 || reservation.ExtentOrder != 0 || reservation.Flags != 0
            || FrameOwners.Find(reservation.DomainId) == null)
        {
            return -Errno.EINVAL;
        }

        return caller.MayManageMemory ? -Errno.EOPNOTSUPP : -Errno.EPERM;
    }

    private static long GetVnumaInfo(Domain caller, ulong argument)
    {
        Span<byte> topology = stackalloc byte[VnumaTopologySize];
        if (!GuestMemory.TryRead(argument, topology))
        {
            return -Errno.EFAULT;
        }

        if ((topology[2] | topology[3]) != 0)
        {
            return -Errno.EINVAL;
        }

        // No domain has a virtual NUMA topology.
        int result = FrameOwnerArgument.FindAny(caller, (ushort)(topology[0] | topology[1] << 8), out _);
        return result != 0 ? result : -Errno.EOPNOTSUPP;
    }
}
