using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>HYPERVISOR_mmu_update: a batch of checked page-table writes (xen/include/public/xen.h).</summary>
public static class MmuUpdateHypercall
{
    private const uint PreemptionMask = 31;
    private const ulong RequestSize = 16;

    /// <summary>
    /// rdi: array of struct mmu_update; rsi: count; rdx: where to store how many were done, or 0; r10: the domain whose frames are
    /// mapped, and in bits 16-31, plus one, the domain whose tables are changed (0: the caller's).
    /// </summary>
    /// <returns>0 or the error of the first request that failed.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        if (PendingTable.Finish(caller) != 0)
        {
            return HypercallArguments.Restart;
        }

        uint count = unchecked((uint)arguments.A2);
        uint foreign = unchecked((uint)arguments.A4);
        if (count == MmuBatch.Preempted && arguments.A1 == 0)
        {
            // Nothing but the pending table was left; its batch's result is in the last argument.
            return unchecked((int)foreign);
        }

        uint done = 0;
        if ((count & MmuBatch.Preempted) != 0)
        {
            count &= ~MmuBatch.Preempted;
            BatchResult.ReadDone(arguments.A3, out done);
        }

        if (!AddressSpace.IsGuestRange(arguments.A1, count * RequestSize))
        {
            return -Errno.EFAULT;
        }

        int result = FindTableOwner(caller.Domain, foreign, out Domain tableOwner);
        if (result == 0)
        {
            result = FrameOwnerArgument.Find(caller.Domain, unchecked((ushort)foreign), out Domain frameOwner);
            if (result == 0)
            {
                result = Run(caller, tableOwner, frameOwner, arguments.A1, count, out uint completed);
                return BatchResult.Finish(caller, ref arguments, result, RequestSize, count, completed, done);
            }
        }

        // The count of done requests is told even when none was looked at.
        BatchResult.WriteDone(arguments.A3, done);
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int FindTableOwner(Domain caller, uint foreign, out Domain owner)
    {
        owner = caller;
        uint encoded = foreign >> 16;
        return encoded == 0 ? 0 : FindNamedTableOwner(caller, encoded, out owner);
    }

    private static int FindNamedTableOwner(Domain caller, uint encoded, out Domain owner)
    {
        owner = caller;
        if (encoded - 1 == caller.Id)
        {
            return 0;
        }

        Domain? found = encoded - 1 >= DomainId.FirstReserved ? null : FrameOwners.Find((ushort)(encoded - 1));
        if (found == null || found.IsDying)
        {
            return -Errno.ESRCH;
        }

        owner = found;
        return caller.MayManageMemory ? 0 : -Errno.EPERM;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Run(Vcpu caller, Domain tableOwner, Domain frameOwner, ulong requests, uint count, out uint completed)
    {
        // Consecutive requests for one L1 table, the usual case, look at its record once.
        ulong l1Table = ulong.MaxValue;
        int result = 0;
        uint i = 0;
        ushort frameOwnerId = frameOwner.Id;
        tableOwner.PageTableLock.Acquire();
        for (; i < count; i++)
        {
            if (caller.PendingTableFrame != 0 || ((i & PreemptionMask) == PreemptionMask && Preemption.IsNeeded))
            {
                result = -Errno.ERESTART;
                break;
            }

            if (!GuestMemory.TryRead(requests, out MmuUpdate request))
            {
                result = -Errno.EFAULT;
                break;
            }

            ulong command = request.Pointer & MmuUpdate.CommandMask;
            ulong frame = request.Pointer >> Cpu.PageShift;
            if (frame != l1Table && L1Table.Is(tableOwner, frame))
            {
                l1Table = frame;
            }

            if (frame == l1Table && command is MmuUpdate.Normal or MmuUpdate.PreserveAccessedDirty or MmuUpdate.NoTranslate)
            {
                result = EntryWrite.L1(
                    ref PhysicalMemory.At<ulong>(request.Pointer & ~MmuUpdate.CommandMask),
                    request.Value,
                    command == MmuUpdate.PreserveAccessedDirty,
                    tableOwner,
                    frameOwnerId);
            }
            else
            {
                // It may take the table out of use.
                l1Table = ulong.MaxValue;
                result = Other(caller, tableOwner, frameOwner, in request);
            }

            if (result != 0)
            {
                break;
            }

            requests += RequestSize;
        }

        tableOwner.PageTableLock.Release();
        completed = i;
        return result;
    }

    /// <summary>A request that does not write to an L1 table.</summary>
    private static int Other(Vcpu caller, Domain tableOwner, Domain frameOwner, in MmuUpdate request)
    {
        ulong command = request.Pointer & MmuUpdate.CommandMask;
        if (command == MmuUpdate.MachineToPhysical)
        {
            return SetMachineToPhysical(caller.Domain, tableOwner, frameOwner, in request);
        }

        if (command > MmuUpdate.NoTranslate)
        {
            return -Errno.ENOSYS;
        }

        ulong frame = request.Pointer >> Cpu.PageShift;
        if (!FrameTable.IsValid(frame))
        {
            return -Errno.EINVAL;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        if (info.State != FrameState.Domain || info.Owner != tableOwner.Id)
        {
            return -Errno.EINVAL;
        }

        bool preserve = command == MmuUpdate.PreserveAccessedDirty;
        ulong address = request.Pointer & ~MmuUpdate.CommandMask;
        ulong type = Volatile.Read(ref info.Type);
        if ((type & FrameType.Validated) != 0 && (type & FrameType.CountMask) != 0 && FrameType.IsTable(type))
        {
            // A validated table keeps its owner and type while the lock is held, so it needs no reference here.
            int level = FrameType.Level(type);
            Check.That(level != 1);
            if (frameOwner != tableOwner)
            {
                return -Errno.EINVAL;
            }

            int slot = (int)(address >> 3) & (PageTableEntry.Count - 1);
            return EntryWrite.Upper(tableOwner, frame, level, slot, request.Value, preserve, caller);
        }

        return WriteData(tableOwner, frame, ref info, address, request.Value);
    }

    /// <summary>A frame that is no page table is simply written, if it may be.</summary>
    private static int WriteData(Domain owner, ulong frame, ref FrameInfo info, ulong address, ulong value)
    {
        if (!ReferenceCount.TryGet(frame, ref info, owner.Id))
        {
            return -Errno.EINVAL;
        }

        bool writable = WritableType.TryGet(ref info);
        if (writable)
        {
            Volatile.Write(ref PhysicalMemory.At<ulong>(address), value);
            WritableType.Put(ref info);
        }

        ReferenceCount.Put(frame, ref info);
        return writable ? 0 : -Errno.EINVAL;
    }

    private static int SetMachineToPhysical(Domain caller, Domain tableOwner, Domain frameOwner, in MmuUpdate request)
    {
        if (tableOwner != caller)
        {
            return -Errno.EPERM;
        }

        ulong frame = request.Pointer >> Cpu.PageShift;
        if (!FrameTable.IsValid(frame))
        {
            return -Errno.EINVAL;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        if (!ReferenceCount.TryGet(frame, ref info, frameOwner.Id))
        {
            return -Errno.EINVAL;
        }

        MachineToPhysical.Set(frame, request.Value);
        ReferenceCount.Put(frame, ref info);
        return 0;
    }
}
