using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_multicall: several hypercalls in one, in order, each with its own result.</summary>
public static class MulticallHypercall
{
    /// <summary>A1 guest address of the entries, A2 how many.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        ulong list = arguments.A1;
        ulong count = (uint)arguments.A2;

        // As in Xen, before the first call: a list that cannot be is not begun.
        if (!AddressSpace.IsGuestRange(list, count * MulticallEntry.Size))
        {
            return -Errno.EFAULT;
        }

        for (ulong i = 0; i < count; i++)
        {
            ulong address = unchecked(list + i * MulticallEntry.Size);
            if (!GuestMemory.TryRead(address, out MulticallEntry entry))
            {
                return -Errno.EFAULT;
            }

            HypercallArguments call;
            call.A1 = entry.A1;
            call.A2 = entry.A2;
            call.A3 = entry.A3;
            call.A4 = entry.A4;
            call.A5 = entry.A5;

            // A multicall inside a multicall would nest without bound.
            long result = entry.Operation == HypercallNumber.Multicall
                ? -Errno.EINVAL
                : HypercallTable.Dispatch(caller, entry.Operation, ref call);
            if (result == HypercallArguments.Restart)
            {
                return RestartAt(address, count - i, ref entry, in call, ref arguments);
            }

            if (!GuestMemory.TryWrite(unchecked(address + MulticallEntry.ResultOffset), in result))
            {
                return -Errno.EFAULT;
            }

            if (caller.Domain.IsShutDown)
            {
                return 0;
            }

            if ((i & 63) == 63 && i + 1 < count && Preemption.IsNeeded)
            {
                arguments.A1 = unchecked(address + MulticallEntry.Size);
                arguments.A2 = count - i - 1;
                return HypercallArguments.Restart;
            }
        }

        return 0;
    }

    private static long RestartAt(
        ulong address, ulong remaining, ref MulticallEntry entry, in HypercallArguments call, ref HypercallArguments arguments)
    {
        entry.A1 = call.A1;
        entry.A2 = call.A2;
        entry.A3 = call.A3;
        entry.A4 = call.A4;
        entry.A5 = call.A5;
        if (!GuestMemory.TryWrite(address, in entry))
        {
            return -Errno.EFAULT;
        }

        arguments.A1 = address;
        arguments.A2 = remaining;
        return HypercallArguments.Restart;
    }
}
