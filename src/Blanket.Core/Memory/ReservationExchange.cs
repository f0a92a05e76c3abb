using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// XENMEM_exchange: a guest gives up extents of frames and gets others of the same total size, for contiguous memory.
/// It goes chunk by chunk, a chunk being as large as the larger kind of extent; a chunk is exchanged as a whole or not at all.
/// </summary>
internal static class ReservationExchange
{
    private struct Chunk
    {
        /// <summary>Frames taken from the guest, chained through FrameInfo.Next.</summary>
        public uint FirstTaken;

        /// <summary>Frames for the guest, by first frame of each extent, chained likewise.</summary>
        public uint FirstNew;
    }

    internal static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        ulong argument = arguments.A2;
        if (!GuestMemory.TryRead(argument, out MemoryExchange exchange))
        {
            return -Errno.EFAULT;
        }

        int result = Check(caller.Domain, in exchange, out Domain subject, out ulong frameLimit);
        if (result != 0)
        {
            return WriteCount(argument, exchange.ExchangedCount) ? result : -Errno.EFAULT;
        }

        uint chunkOrder = System.Math.Max(exchange.In.ExtentOrder, exchange.Out.ExtentOrder);
        int inPerChunk = (int)(chunkOrder - exchange.In.ExtentOrder);
        ulong chunks = exchange.In.ExtentCount >> inPerChunk;
        ulong first = exchange.ExchangedCount >> inPerChunk;
        ulong chunk = first;
        for (; chunk < chunks; chunk++)
        {
            if (chunk != first && Preemption.IsNeeded)
            {
                return WriteCount(argument, chunk << inPerChunk) ? HypercallArguments.Restart : -Errno.EFAULT;
            }

            result = ExchangeChunk(subject, in exchange, chunk, chunkOrder, frameLimit);
            if (result != 0)
            {
                break;
            }
        }

        ulong done = result == 0 ? exchange.In.ExtentCount : chunk << inPerChunk;
        return WriteCount(argument, done) ? result : -Errno.EFAULT;
    }

    private static int Check(Domain caller, in MemoryExchange exchange, out Domain subject, out ulong frameLimit)
    {
        subject = caller;
        frameLimit = 0;
        if (exchange.In.ExtentOrder > Reservation.MaximumOrder || exchange.Out.ExtentOrder > Reservation.MaximumOrder)
        {
            return -Errno.EPERM;
        }

        int inOrder = (int)exchange.In.ExtentOrder;
        int outOrder = (int)exchange.Out.ExtentOrder;
        if (exchange.ExchangedCount > exchange.In.ExtentCount
            || exchange.In.DomainId != exchange.Out.DomainId
            || exchange.In.ExtentCount > ulong.MaxValue >> inOrder
            || exchange.Out.ExtentCount > ulong.MaxValue >> outOrder
            || exchange.In.ExtentCount << inOrder != exchange.Out.ExtentCount << outOrder)
        {
            return -Errno.EINVAL;
        }

        if (!Reservation.TryGetFrameLimit(exchange.Out.Flags, out frameLimit))
        {
            return -Errno.EINVAL;
        }

        return FrameOwnerArgument.FindAny(caller, exchange.In.DomainId, out subject);
    }

    private static bool WriteCount(ulong argument, ulong count) =>
        GuestMemory.TryWrite(unchecked(argument + MemoryExchange.ExchangedCountOffset), in count);

    private static int ExchangeChunk(Domain subject, in MemoryExchange exchange, ulong index, uint chunkOrder, ulong frameLimit)
    {
        Chunk chunk = new() { FirstTaken = FrameInfo.None, FirstNew = FrameInfo.None };
        int result = TakeAll(subject, in exchange, index, chunkOrder, ref chunk);
        if (result == 0)
        {
            result = AllocateAll(in exchange, chunkOrder, frameLimit, ref chunk);
        }

        if (result != 0)
        {
            Undo(subject, (int)exchange.Out.ExtentOrder, in chunk);
            return result;
        }

        while (chunk.FirstTaken != FrameInfo.None)
        {
            uint frame = chunk.FirstTaken;
            ref FrameInfo info = ref FrameTable.Of(frame);
            chunk.FirstTaken = info.Next;
            info.State = FrameState.Hypervisor;
            info.Owner = DomainId.Invalid;
            info.Type = FrameType.None;
            MachineToPhysical.Set(frame, MachineToPhysical.Invalid);
            FrameQuarantine.Add(frame, ref info);
        }

        return Give(subject, in exchange, index, chunkOrder, ref chunk);
    }

    /// <summary>Takes the chunk's input frames: nobody but the owner may have a reference.</summary>
    private static int TakeAll(Domain subject, in MemoryExchange exchange, ulong index, uint chunkOrder, ref Chunk chunk)
    {
        int perChunk = (int)(chunkOrder - exchange.In.ExtentOrder);
        for (ulong extent = 0; extent < 1UL << perChunk; extent++)
        {
            if (!GuestMemory.TryReadElement(exchange.In.ExtentStart, (index << perChunk) + extent, out ulong first))
            {
                return -Errno.EFAULT;
            }

            for (ulong i = 0; i < 1UL << (int)exchange.In.ExtentOrder; i++)
            {
                ulong frame = unchecked(first + i);
                if (!FrameTable.IsValid(frame) || !TryTake(subject, frame))
                {
                    return -Errno.EINVAL;
                }

                FrameTable.Of(frame).Next = chunk.FirstTaken;
                chunk.FirstTaken = (uint)frame;
            }
        }

        return 0;
    }

    private static bool TryTake(Domain subject, ulong frame)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        if (!ReferenceCount.TryGet(frame, ref info, subject.Id))
        {
            return false;
        }

        // Exactly the owner's reference and the one just taken; with none, nobody can get one. The type stays, in case the
        // frame is given back: TLBs may hold its last use.
        const ulong expected = ReferenceCount.Allocated | 2;
        if (Interlocked.CompareExchange(ref info.Count, 0, expected) == expected)
        {
            return true;
        }

        ReferenceCount.Put(frame, ref info);
        return false;
    }

    private static int AllocateAll(in MemoryExchange exchange, uint chunkOrder, ulong frameLimit, ref Chunk chunk)
    {
        int order = (int)exchange.Out.ExtentOrder;
        for (int i = 0; i < 1 << (int)(chunkOrder - exchange.Out.ExtentOrder); i++)
        {
            if (!FrameOwnership.TryTake(order, frameLimit, fromClaim: false, out ulong frame))
            {
                return -Errno.ENOMEM;
            }

            FrameTable.Of(frame).Next = chunk.FirstNew;
            chunk.FirstNew = (uint)frame;
        }

        return 0;
    }

    private static void Undo(Domain subject, int outOrder, in Chunk chunk)
    {
        uint frame = chunk.FirstTaken;
        while (frame != FrameInfo.None)
        {
            ref FrameInfo info = ref FrameTable.Of(frame);
            uint next = info.Next;
            Volatile.Write(ref info.Count, ReferenceCount.Allocated | 1);
            if (subject.IsDying)
            {
                FrameOwnership.TryGiveUp(subject, frame);
            }

            frame = next;
        }

        frame = chunk.FirstNew;
        while (frame != FrameInfo.None)
        {
            uint next = FrameTable.Of(frame).Next;
            FrameAllocator.Free(frame, outOrder);
            frame = next;
        }
    }

    /// <summary>Makes the domain the owner of the new frames and tells it. Past the point of failure: a fault is reported, no more.</summary>
    private static int Give(Domain subject, in MemoryExchange exchange, ulong index, uint chunkOrder, ref Chunk chunk)
    {
        int order = (int)exchange.Out.ExtentOrder;
        int perChunk = (int)(chunkOrder - exchange.Out.ExtentOrder);
        int result = 0;
        for (ulong extent = 0; chunk.FirstNew != FrameInfo.None; extent++)
        {
            ulong frame = chunk.FirstNew;
            chunk.FirstNew = FrameTable.Of(frame).Next;
            FrameOwnership.Assign(subject, frame, order);
            ulong element = (index << perChunk) + extent;
            if (!GuestMemory.TryReadElement(exchange.Out.ExtentStart, element, out ulong physicalFrame))
            {
                result = -Errno.EFAULT;
                continue;
            }

            for (ulong i = 0; i < 1UL << order; i++)
            {
                MachineToPhysical.Set(frame + i, unchecked(physicalFrame + i));
            }

            if (!GuestMemory.TryWriteElement(exchange.Out.ExtentStart, element, in frame))
            {
                result = -Errno.EFAULT;
            }
        }

        return result;
    }
}
