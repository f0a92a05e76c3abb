using System.Runtime;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Traps;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>What the assembly of guest entry calls (Blanket.Machine/Assembly/entry.S), on the CPU's empty main stack with interrupts off.</summary>
internal static unsafe class GuestEntry
{
    private const uint FirstInterruptVector = 32;

    /// <summary>An exception or interrupt arrived while a guest ran.</summary>
    [RuntimeExport("guest_exception")]
    private static void Exception(VcpuState* state)
    {
        uint vector = state->Registers.EntryVector;
        if (vector >= FirstInterruptVector)
        {
            InterruptVectors.Dispatch((byte)vector);
            if (vector != SystemVectors.Flush)
            {
                PendingWork.Raise();
            }

            return;
        }

        ulong faultAddress = Cpu.ReadCr2();
        ExitCounters.Count(vector);
        if (vector == MachineCheck)
        {
            Panic.Stop("machine check"u8);
        }

        GuestExceptions.Handle(VcpuState.OwnerOf<Vcpu>(state), faultAddress);
    }

    private const uint MachineCheck = 18;

    /// <summary>A hypercall of a guest kernel, or a SYSCALL that assembly could not deliver.</summary>
    [RuntimeExport("guest_hypercall")]
    private static void Hypercall(VcpuState* state)
    {
        Vcpu vcpu = VcpuState.OwnerOf<Vcpu>(state);
        ref GuestRegisters registers = ref state->Registers;

        // SYSRET to a non-canonical address faults in ring 0 on some CPUs: such an address takes the IRET way, and faults there.
        if (!AddressSpace.IsCanonical(registers.Rip))
        {
            registers.EntryVector = 0;
        }

        if (state->InKernel == 0)
        {
            SystemCall.DeliverSlowly(vcpu);
            return;
        }

        HypercallTable.Enter(vcpu);
    }

    /// <summary>A SYSCALL of 32-bit code.</summary>
    [RuntimeExport("guest_system_call32")]
    private static void SystemCall32(VcpuState* state) => SystemCall.Deliver32(VcpuState.OwnerOf<Vcpu>(state));

    /// <summary>A SYSENTER.</summary>
    [RuntimeExport("guest_sysenter")]
    private static void Sysenter(VcpuState* state) => SystemCall.DeliverSysenter(VcpuState.OwnerOf<Vcpu>(state));

    /// <summary>An event is pending and unmasked: enter the guest at its callback.</summary>
    [RuntimeExport("deliver_event_upcall")]
    private static void EventUpcall(VcpuState* state) => TrapDelivery.DeliverEvent(VcpuState.OwnerOf<Vcpu>(state));

    /// <summary>IRETQ to the guest faulted on its selectors or addresses.</summary>
    [RuntimeExport("guest_return_failed")]
    private static void ReturnFailed(VcpuState* state, uint errorCode, uint vector) =>
        GuestReturn.Failed(VcpuState.OwnerOf<Vcpu>(state), (byte)vector, errorCode, Cpu.ReadCr2());
}
