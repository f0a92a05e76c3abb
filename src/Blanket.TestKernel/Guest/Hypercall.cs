using System.Runtime;
using System.Runtime.CompilerServices;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Hypercalls: any at all, and the frequent ones by their names.</summary>
internal static unsafe class Hypercall
{
    /// <summary>Any hypercall.</summary>
    /// <returns>What Xen's interface has in rax.</returns>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "hypercall")]
    internal static extern long Invoke(ulong number, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0);

    /// <summary>One request of mmu_update.</summary>
    internal static long MmuUpdate(ulong pointer, ulong value, uint domain = DomainId.Self)
    {
        MmuUpdate request;
        request.Pointer = pointer;
        request.Value = value;
        return Invoke(HypercallNumber.MmuUpdate, (ulong)(&request), 1, 0, domain);
    }

    /// <summary>One request of mmuext_op.</summary>
    internal static long MmuExtended(uint command, ulong first = 0, ulong second = 0, uint domain = DomainId.Self)
    {
        MmuExtendedOperation operation = default;
        operation.Command = command;
        operation.Argument1 = first;
        operation.Argument2 = second;
        return Invoke(HypercallNumber.MmuextOp, (ulong)(&operation), 1, 0, domain);
    }

    /// <summary>Changes the L1 entry of a linear address and flushes its translation.</summary>
    internal static long UpdateMapping(ulong address, ulong entry) =>
        Invoke(HypercallNumber.UpdateVaMapping, address, entry, MmuVaMappingFlags.InvalidatePage);

    internal static long Memory(uint command, void* argument) => Invoke(HypercallNumber.MemoryOp, command, (ulong)argument);

    internal static long Grant(uint command, void* argument, uint count = 1) => Invoke(HypercallNumber.GrantTableOp, command, (ulong)argument, count);

    internal static long Event(int command, void* argument) => Invoke(HypercallNumber.EventChannelOp, (ulong)command, (ulong)argument);

    internal static long Sched(uint command, void* argument) => Invoke(HypercallNumber.SchedOp, command, (ulong)argument);

    internal static long Vcpu(uint command, int vcpu, void* argument) => Invoke(HypercallNumber.VcpuOp, command, (ulong)vcpu, (ulong)argument);
}
