using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>How batches (mmu_update, mmuext_op) end or are suspended: rdi array, rsi count, rdx done count, r10 domain.</summary>
internal static class BatchResult
{
    /// <summary>Reads how many requests earlier goes of a suspended batch have done; 0 when the guest does not want to know.</summary>
    internal static void ReadDone(ulong address, out uint done)
    {
        done = 0;
        if (address != 0 && !GuestMemory.TryRead(address, out done))
        {
            done = 0;
        }
    }

    /// <summary>Tells the guest how many requests were done; an address that faults is the guest's affair.</summary>
    internal static void WriteDone(ulong address, uint done)
    {
        if (address != 0)
        {
            _ = GuestMemory.TryWrite(address, in done);
        }
    }

    /// <summary>Ends a batch, or prepares its arguments for going on later.</summary>
    /// <param name="caller">The vCPU.</param>
    /// <param name="arguments">The call's arguments.</param>
    /// <param name="result">Result of the last request: 0, an error, or -ERESTART for going on with request <paramref name="completed"/>.</param>
    /// <param name="requestSize">Bytes of a request.</param>
    /// <param name="count">Requests of this go.</param>
    /// <param name="completed">Requests completed in this go.</param>
    /// <param name="doneBefore">Requests completed in earlier ones.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static long Finish(
        Vcpu caller, ref HypercallArguments arguments, int result, ulong requestSize, uint count, uint completed, uint doneBefore)
    {
        ulong doneAddress = arguments.A3;
        long final = result == -Errno.ERESTART || caller.PendingTableFrame != 0
            ? Suspend(caller, ref arguments, result, requestSize, count, completed)
            : result;
        WriteDone(doneAddress, unchecked(doneBefore + completed));
        FrameQuarantine.Drain();
        return final;
    }

    /// <summary>Prepares the arguments for going on later, unless nothing but a pending table is left, and that can be finished now.</summary>
    /// <returns>The batch's result, or <see cref="HypercallArguments.Restart"/>.</returns>
    private static long Suspend(
        Vcpu caller, ref HypercallArguments arguments, int result, ulong requestSize, uint count, uint completed)
    {
        if (result == -Errno.ERESTART)
        {
            arguments.A1 += completed * requestSize;
            arguments.A2 = (count - completed) | MmuBatch.Preempted;
            return HypercallArguments.Restart;
        }

        if (PendingTable.Finish(caller) == 0)
        {
            return result;
        }

        // The batch is over, only the pending table is left: the result travels in the last argument.
        arguments.A1 = 0;
        arguments.A2 = MmuBatch.Preempted;
        arguments.A3 = 0;
        arguments.A4 = unchecked((uint)result);
        return HypercallArguments.Restart;
    }
}
