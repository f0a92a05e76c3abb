using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>HYPERVISOR_grant_table_op (xen/include/public/grant_table.h).</summary>
public static class GrantTableHypercall
{
    /// <summary>Executes a batch of one sub-operation.</summary>
    /// <param name="caller">The vCPU that calls.</param>
    /// <param name="arguments">A1: GNTTABOP_*; A2: guest address of an array of its structures; A3: their number.</param>
    /// <returns>
    /// 0 when every structure has its own status, or a negative errno: -EFAULT, -EINVAL for a bad count, -ENOSYS for an unknown sub-operation,
    /// <see cref="HypercallArguments.Restart"/> for the rest of a batch.
    /// </returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        uint command = unchecked((uint)arguments.A1);
        uint count = unchecked((uint)arguments.A3);
        if (caller.Domain.Grants == null)
        {
            return -Errno.ENOSYS;
        }

        uint operation = command & GrantTableOp.CommandMask;
        if (count > int.MaxValue || (command != operation && operation != GrantTableOp.CacheFlush))
        {
            return -Errno.EINVAL;
        }

        switch (operation)
        {
            case GrantTableOp.MapGrantReference:
                return Map(caller, ref arguments);
            case GrantTableOp.UnmapGrantReference:
                return GrantUnmapBatch.Run(caller, ref arguments, replaces: false);
            case GrantTableOp.UnmapAndReplace:
                return GrantUnmapBatch.Run(caller, ref arguments, replaces: true);
            case GrantTableOp.SetupTable:
                return count == 1 ? GrantTableSetup.SetUp(caller.Domain, arguments.A2) : -Errno.EINVAL;
            case GrantTableOp.QuerySize:
                return count == 1 ? GrantTableSetup.QuerySize(caller.Domain, arguments.A2) : -Errno.EINVAL;
            case GrantTableOp.GetStatusFrames:
                return count == 1 ? GrantTableSetup.GetStatusFrames(caller.Domain, arguments.A2) : -Errno.EINVAL;
            case GrantTableOp.SetVersion:
                return GrantTableSetup.SetVersion(caller.Domain, arguments.A2);
            case GrantTableOp.GetVersion:
                return GrantTableSetup.GetVersion(caller.Domain, arguments.A2);
            case GrantTableOp.Copy:
                return Copy(caller, ref arguments);
            case GrantTableOp.Transfer:
                return Transfer(caller, ref arguments);
            case GrantTableOp.SwapGrantReference:
                return Swap(caller, ref arguments);
            case GrantTableOp.CacheFlush:
                return GrantCacheFlush.Run(caller, ref arguments);
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>Whether the array of a batch is in the guest's part of the address space.</summary>
    internal static bool IsArrayValid<T>(in HypercallArguments arguments) where T : unmanaged =>
        AddressSpace.IsGuestRange(arguments.A2, (uint)arguments.A3 * (ulong)Unsafe.SizeOf<T>());

    /// <summary>Stores the rest of a batch in the arguments.</summary>
    internal static long RestartAfter<T>(ref HypercallArguments arguments, uint done) where T : unmanaged
    {
        arguments.A2 = unchecked(arguments.A2 + done * (ulong)Unsafe.SizeOf<T>());
        arguments.A3 = (uint)arguments.A3 - done;
        return HypercallArguments.Restart;
    }

    private static long Map(Vcpu caller, ref HypercallArguments arguments)
    {
        if (!IsArrayValid<GrantMapArgument>(in arguments))
        {
            return -Errno.EFAULT;
        }

        uint count = (uint)arguments.A3;
        for (uint i = 0; i < count; i++)
        {
            if (i != 0 && Preemption.IsNeeded)
            {
                return RestartAfter<GrantMapArgument>(ref arguments, i);
            }

            if (!GuestMemory.TryReadElement(arguments.A2, i, out GrantMapArgument argument))
            {
                return -Errno.EFAULT;
            }

            GrantMappings.Map(caller, ref argument);
            if (!GuestMemory.TryWriteElement(arguments.A2, i, in argument))
            {
                return -Errno.EFAULT;
            }
        }

        return 0;
    }

    private static long Copy(Vcpu caller, ref HypercallArguments arguments)
    {
        if (!IsArrayValid<GrantCopyArgument>(in arguments))
        {
            return -Errno.EFAULT;
        }

        uint count = (uint)arguments.A3;
        for (uint i = 0; i < count; i++)
        {
            if (i != 0 && Preemption.IsNeeded)
            {
                return RestartAfter<GrantCopyArgument>(ref arguments, i);
            }

            if (!GuestMemory.TryReadElement(arguments.A2, i, out GrantCopyArgument argument))
            {
                return -Errno.EFAULT;
            }

            short status = GrantCopy.Copy(caller.Domain, in argument);
            if (status == GrantTable.Busy)
            {
                return RestartAfter<GrantCopyArgument>(ref arguments, i);
            }

            if (!TryWriteStatus<GrantCopyArgument>(in arguments, i, GrantCopyArgument.StatusOffset, status))
            {
                return -Errno.EFAULT;
            }
        }

        return 0;
    }

    private static long Transfer(Vcpu caller, ref HypercallArguments arguments)
    {
        if (!IsArrayValid<GrantTransferArgument>(in arguments))
        {
            return -Errno.EFAULT;
        }

        uint count = (uint)arguments.A3;
        for (uint i = 0; i < count; i++)
        {
            if (i != 0 && Preemption.IsNeeded)
            {
                return RestartAfter<GrantTransferArgument>(ref arguments, i);
            }

            if (!GuestMemory.TryReadElement(arguments.A2, i, out GrantTransferArgument argument))
            {
                return -Errno.EFAULT;
            }

            short status = FrameTransfer.Transfer(caller.Domain, in argument);
            if (!TryWriteStatus<GrantTransferArgument>(in arguments, i, GrantTransferArgument.StatusOffset, status))
            {
                return -Errno.EFAULT;
            }
        }

        return 0;
    }

    private static long Swap(Vcpu caller, ref HypercallArguments arguments)
    {
        if (!IsArrayValid<GrantSwapArgument>(in arguments))
        {
            return -Errno.EFAULT;
        }

        uint count = (uint)arguments.A3;
        for (uint i = 0; i < count; i++)
        {
            if (i != 0 && Preemption.IsNeeded)
            {
                return RestartAfter<GrantSwapArgument>(ref arguments, i);
            }

            if (!GuestMemory.TryReadElement(arguments.A2, i, out GrantSwapArgument argument))
            {
                return -Errno.EFAULT;
            }

            short status = caller.Domain.Grants!.Swap(argument.ReferenceA, argument.ReferenceB);
            if (!TryWriteStatus<GrantSwapArgument>(in arguments, i, GrantSwapArgument.StatusOffset, status))
            {
                return -Errno.EFAULT;
            }
        }

        return 0;
    }

    internal static bool TryWriteStatus<T>(in HypercallArguments arguments, uint index, int offset, short status) where T : unmanaged =>
        GuestMemory.TryWrite(unchecked(arguments.A2 + index * (ulong)Unsafe.SizeOf<T>() + (uint)offset), in status);
}
