using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// XENMEM_increase_reservation, decrease_reservation and populate_physmap: extents of frames that a guest gets or gives up.
/// They return how many extents were done, fewer than asked when one could not be.
/// </summary>
internal static class Reservation
{
    /// <summary>log2 of the largest extent that a guest may ask for (Xen's default for ordinary domains).</summary>
    internal const uint MaximumOrder = 9;

    private const ulong MaximumExtents = uint.MaxValue >> MemoryCommand.ExtentShift;

    internal static long Handle(Vcpu caller, uint command, ulong start, ref HypercallArguments arguments)
    {
        if (!GuestMemory.TryRead(arguments.A2, out MemoryReservation reservation)
            || reservation.ExtentCount > MaximumExtents
            || start >= reservation.ExtentCount
            || FrameOwnerArgument.FindAny(caller.Domain, reservation.DomainId, out Domain subject) != 0
            || reservation.ExtentOrder > MaximumOrder
            || !TryGetFrameLimit(reservation.Flags, out ulong frameLimit))
        {
            return (long)start;
        }

        bool populate = command == MemoryCommand.PopulatePhysmap;
        if (populate && (reservation.Flags & MemoryReservation.PopulateOnDemand) != 0)
        {
            // Nothing for PV guests.
            return (long)(subject == caller.Domain ? start : reservation.ExtentCount);
        }

        ulong i = start;
        for (; i < reservation.ExtentCount; i++)
        {
            if (i != start && Preemption.IsNeeded)
            {
                arguments.A1 = command | i << MemoryCommand.ExtentShift;
                return HypercallArguments.Restart;
            }

            bool done = command == MemoryCommand.DecreaseReservation
                ? TryGiveUp(subject, in reservation, i)
                : TryAdd(subject, in reservation, i, frameLimit, populate);
            if (!done)
            {
                break;
            }
        }

        return (long)i;
    }

    /// <summary>Frames must be below the address width that the guest asks for; NUMA nodes are not distinguished.</summary>
    internal static bool TryGetFrameLimit(uint flags, out ulong frameLimit)
    {
        frameLimit = ulong.MaxValue;
        uint bits = flags & MemoryReservation.AddressBitsMask;
        if (bits != 0 && bits < 64)
        {
            if (bits <= Cpu.PageShift)
            {
                return false;
            }

            frameLimit = 1UL << ((int)bits - Cpu.PageShift);
        }

        bool namesNode = (flags >> MemoryReservation.NodeShift & 0xff) != 0;
        return !(namesNode && (flags & MemoryReservation.ExactNode) != 0);
    }

    private static bool TryAdd(Domain subject, in MemoryReservation reservation, ulong index, ulong frameLimit, bool populate)
    {
        ulong physicalFrame = 0;
        if (populate && !GuestMemory.TryReadElement(reservation.ExtentStart, index, out physicalFrame))
        {
            return false;
        }

        int order = (int)reservation.ExtentOrder;
        if (!FrameOwnership.TryAllocate(subject, order, frameLimit, out ulong frame))
        {
            return false;
        }

        if (populate)
        {
            for (ulong i = 0; i < 1UL << order; i++)
            {
                MachineToPhysical.Set(frame + i, unchecked(physicalFrame + i));
            }
        }

        // A guest that does not want to know gets the frames all the same (increase_reservation only).
        return (!populate && reservation.ExtentStart == 0)
            || GuestMemory.TryWriteElement(reservation.ExtentStart, index, in frame);
    }

    private static bool TryGiveUp(Domain subject, in MemoryReservation reservation, ulong index)
    {
        if (!GuestMemory.TryReadElement(reservation.ExtentStart, index, out ulong first))
        {
            return false;
        }

        for (ulong i = 0; i < 1UL << (int)reservation.ExtentOrder; i++)
        {
            if (FrameOwnership.TryGiveUp(subject, unchecked(first + i)) != 0)
            {
                return false;
            }
        }

        return true;
    }
}
