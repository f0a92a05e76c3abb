using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>
/// GNTTABOP_cache_flush. Devices of x86 machines see the caches, so cleaning is done once the arguments have been checked; throwing
/// cache contents away is refused, as Xen does on x86.
/// </summary>
internal static class GrantCacheFlush
{
    // Entries that are looked at between two checks for preemption.
    private const uint EntriesPerLook = 4096;
    private const int MoreToLook = 1;

    public static long Run(Vcpu caller, ref HypercallArguments arguments)
    {
        if (!GrantTableHypercall.IsArrayValid<GrantCacheFlushArgument>(in arguments))
        {
            return -Errno.EFAULT;
        }

        uint count = (uint)arguments.A3;
        uint next = unchecked((uint)arguments.A1) & ~GrantTableOp.CommandMask;
        for (uint i = 0; i < count; i++)
        {
            if (i != 0 && Preemption.IsNeeded)
            {
                return Restart(ref arguments, i, 0);
            }

            if (!GuestMemory.TryReadElement(arguments.A2, i, out GrantCacheFlushArgument argument))
            {
                return -Errno.EFAULT;
            }

            int result = FlushOne(caller.Domain, in argument, ref next);
            while (result == MoreToLook)
            {
                if (Preemption.IsNeeded)
                {
                    return Restart(ref arguments, i, next);
                }

                result = FlushOne(caller.Domain, in argument, ref next);
            }

            if (result < 0)
            {
                return result;
            }

            next = 0;
        }

        return 0;
    }

    private static long Restart(ref HypercallArguments arguments, uint done, uint next)
    {
        arguments.A1 = GrantTableOp.CacheFlush | next;
        return GrantTableHypercall.RestartAfter<GrantCacheFlushArgument>(ref arguments, done);
    }

    /// <returns>0 when done, <see cref="MoreToLook"/> to be called again, a negative errno.</returns>
    private static int FlushOne(Domain caller, in GrantCacheFlushArgument argument, ref uint next)
    {
        const uint known = GrantCacheFlushArgument.Clean | GrantCacheFlushArgument.Invalidate;
        if (argument.Offset >= Cpu.PageSize || argument.Offset + argument.Length > Cpu.PageSize || (argument.Operation & ~known) != 0)
        {
            return -Errno.EINVAL;
        }

        if (argument.Length == 0 || argument.Operation == 0)
        {
            return next == 0 ? 0 : -Errno.EILSEQ;
        }

        ulong frame = argument.DeviceBusAddress >> Cpu.PageShift;
        if (!FrameTable.IsValid(frame))
        {
            return -Errno.EINVAL;
        }

        FrameInfo info = FrameTable.Of(frame);
        GrantTable? table = info.State == FrameState.Domain ? FrameOwners.Find(info.Owner)?.Grants : null;
        if (table == null)
        {
            return -Errno.EPERM;
        }

        if (info.Owner != caller.Id)
        {
            int found = table.FindUse(caller.Id, frame, ref next, EntriesPerLook);
            if (found != 0)
            {
                return found > 0 ? MoreToLook : -Errno.EINVAL;
            }
        }

        return argument.Operation == GrantCacheFlushArgument.Invalidate ? -Errno.EOPNOTSUPP : 0;
    }
}
