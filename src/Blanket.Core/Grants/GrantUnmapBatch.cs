using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>
/// GNTTABOP_unmap_grant_ref and unmap_and_replace: up to 32 entries are removed, the TLBs are flushed once, and only then the frames
/// are let go.
/// </summary>
internal static class GrantUnmapBatch
{
    private const uint BatchSize = 32;

    [InlineArray((int)BatchSize)]
    private struct Batch
    {
        private PendingUnmap _first;
    }

    public static long Run(Vcpu caller, ref HypercallArguments arguments, bool replaces)
    {
        // The two structures differ in the meaning of one field only.
        if (!GrantTableHypercall.IsArrayValid<GrantUnmapArgument>(in arguments))
        {
            return -Errno.EFAULT;
        }

        uint count = (uint)arguments.A3;
        uint done = 0;
        while (done < count)
        {
            uint size = System.Math.Min(count - done, BatchSize);
            if (!TryRunBatch(caller, in arguments, done, size, replaces))
            {
                return -Errno.EFAULT;
            }

            done += size;
            if (done < count && Preemption.IsNeeded)
            {
                return GrantTableHypercall.RestartAfter<GrantUnmapArgument>(ref arguments, done);
            }
        }

        return 0;
    }

    private static bool TryRunBatch(Vcpu caller, in HypercallArguments arguments, uint first, uint size, bool replaces)
    {
        Batch batch = default;
        int unmapped = 0;
        bool readable = true;
        for (uint i = 0; i < size && readable; i++)
        {
            readable = GuestMemory.TryReadElement(arguments.A2, first + i, out GrantUnmapArgument argument);
            if (!readable)
            {
                break;
            }

            ulong replacement = 0;
            if (replaces)
            {
                replacement = argument.DeviceBusAddress;
                argument.DeviceBusAddress = 0;
            }

            short status = GrantMappings.Unmap(caller, in argument, replacement, out batch[unmapped++]);
            readable = GrantTableHypercall.TryWriteStatus<GrantUnmapArgument>(
                in arguments, first + i, GrantUnmapArgument.StatusOffset, status);
        }

        TlbFlush.All(caller.Domain);
        for (int i = 0; i < unmapped; i++)
        {
            GrantMappings.Complete(in batch[i]);
        }

        return readable;
    }
}
