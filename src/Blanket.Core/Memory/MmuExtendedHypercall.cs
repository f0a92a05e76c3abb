using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>HYPERVISOR_mmuext_op: pins, root tables, TLB flushes and other memory operations (xen/include/public/xen.h).</summary>
public static class MmuExtendedHypercall
{
    private const ulong RequestSize = 24;

    /// <summary>
    /// rdi: array of struct mmuext_op; rsi: count; rdx: where to store how many were done, or 0; r10: the domain that they are about.
    /// </summary>
    /// <returns>0 or the error of the first operation that failed.</returns>
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

        int result = FrameOwnerArgument.Find(caller.Domain, unchecked((ushort)foreign), out Domain owner);
        if (result != 0)
        {
            return result;
        }

        result = Run(caller, owner, arguments.A1, count, out uint completed);
        return BatchResult.Finish(caller, ref arguments, result, RequestSize, count, completed, done);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Run(Vcpu caller, Domain owner, ulong requests, uint count, out uint completed)
    {
        int result = 0;
        uint i = 0;
        for (; i < count; i++)
        {
            if (caller.PendingTableFrame != 0 || (i != 0 && Preemption.IsNeeded))
            {
                result = -Errno.ERESTART;
                break;
            }

            if (!GuestMemory.TryRead(requests, out MmuExtendedOperation operation))
            {
                result = -Errno.EFAULT;
                break;
            }

            result = Execute(caller, owner, in operation);
            if (result != 0)
            {
                break;
            }

            requests += RequestSize;
        }

        completed = i;
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Execute(Vcpu caller, Domain owner, in MmuExtendedOperation operation)
    {
        switch (operation.Command)
        {
            case MmuExtendedCommand.PinL1Table:
            case MmuExtendedCommand.PinL2Table:
            case MmuExtendedCommand.PinL3Table:
            case MmuExtendedCommand.PinL4Table:
            case MmuExtendedCommand.UnpinTable:
                return ChangePin(caller, owner, in operation);
            case MmuExtendedCommand.ClearPage:
                return FrameContents.Clear(owner, operation.Argument1);
            case MmuExtendedCommand.CopyPage:
                return FrameContents.Copy(owner, operation.Argument1, operation.Argument2);
            case MmuExtendedCommand.MarkSuper:
            case MmuExtendedCommand.UnmarkSuper:
                return -Errno.EOPNOTSUPP;
            case MmuExtendedCommand.NewBasePointer:
            case MmuExtendedCommand.NewUserBasePointer:
            case MmuExtendedCommand.TlbFlushLocal:
            case MmuExtendedCommand.InvalidatePageLocal:
            case MmuExtendedCommand.TlbFlushMulti:
            case MmuExtendedCommand.InvalidatePageMulti:
            case MmuExtendedCommand.TlbFlushAll:
            case MmuExtendedCommand.InvalidatePageAll:
            case MmuExtendedCommand.FlushCache:
            case MmuExtendedCommand.FlushCacheGlobal:
            case MmuExtendedCommand.SetLdt:
                return owner == caller.Domain ? ExecuteOnSelf(caller, in operation) : -Errno.EPERM;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static int ChangePin(Vcpu caller, Domain owner, in MmuExtendedOperation operation)
    {
        owner.PageTableLock.Acquire();
        int result;
        if (operation.Command == MmuExtendedCommand.UnpinTable)
        {
            result = PageTablePin.Unpin(caller, owner, operation.Argument1);
        }
        else if (owner.IsDying)
        {
            result = -Errno.EINVAL;
        }
        else
        {
            int level = (int)(operation.Command - MmuExtendedCommand.PinL1Table) + 1;
            result = PageTablePin.Pin(caller, owner, operation.Argument1, level);
        }

        owner.PageTableLock.Release();
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ExecuteOnSelf(Vcpu caller, in MmuExtendedOperation operation)
    {
        switch (operation.Command)
        {
            case MmuExtendedCommand.NewBasePointer:
            case MmuExtendedCommand.NewUserBasePointer:
                return SetRoot(caller, in operation);
            case MmuExtendedCommand.TlbFlushLocal:
                TlbFlush.Local();
                return 0;
            case MmuExtendedCommand.InvalidatePageLocal:
                TlbFlush.LocalPage(operation.Argument1);
                return 0;
            case MmuExtendedCommand.TlbFlushMulti:
            case MmuExtendedCommand.InvalidatePageMulti:
                return FlushMask(caller, in operation);
            case MmuExtendedCommand.TlbFlushAll:
                TlbFlush.All(caller.Domain);
                return 0;
            case MmuExtendedCommand.InvalidatePageAll:
                TlbFlush.AllPage(caller.Domain, operation.Argument1);
                return 0;
            case MmuExtendedCommand.SetLdt:
                return LocalDescriptorTable.Set(caller, operation.Argument1, operation.EntryCount);
            case MmuExtendedCommand.FlushCache:
                // Cache flushes are for owners of devices.
                return -Errno.EACCES;
            default:
                // MMUEXT_FLUSH_CACHE_GLOBAL
                return -Errno.EINVAL;
        }
    }

    private static int SetRoot(Vcpu caller, in MmuExtendedOperation operation)
    {
        Domain domain = caller.Domain;
        domain.PageTableLock.Acquire();
        int result = operation.Command == MmuExtendedCommand.NewBasePointer
            ? RootTable.SetKernelRoot(caller, operation.Argument1)
            : RootTable.SetUserRoot(caller, operation.Argument1);
        domain.PageTableLock.Release();
        return result;
    }

    private static int FlushMask(Vcpu caller, in MmuExtendedOperation operation)
    {
        if (!VcpuMask.TryRead(caller.Domain, operation.Argument2, out CpuSet cpus))
        {
            return -Errno.EINVAL;
        }

        if (operation.Command == MmuExtendedCommand.TlbFlushMulti)
        {
            TlbFlush.Cpus(cpus);
        }
        else
        {
            TlbFlush.CpusPage(cpus, operation.Argument1);
        }

        return 0;
    }
}
