using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>The whole hypercall surface (xen/include/public/xen.h): one line a number. docs/guest-abi.md lists sub-operations.</summary>
public static class HypercallTable
{
    private const ulong InstructionLength = 2;

    /// <summary>Carries out the hypercall in the registers of the vCPU that runs on this CPU.</summary>
    public static void Enter(Vcpu vcpu)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        HypercallArguments arguments;
        arguments.A1 = registers.Rdi;
        arguments.A2 = registers.Rsi;
        arguments.A3 = registers.Rdx;
        arguments.A4 = registers.R10;
        arguments.A5 = registers.R8;
        long result = Dispatch(vcpu, registers.Rax, ref arguments);
        if (result != HypercallArguments.Restart)
        {
            registers.Rax = unchecked((ulong)result);
            return;
        }

        // The guest executes the SYSCALL again, after whatever waits.
        registers.Rdi = arguments.A1;
        registers.Rsi = arguments.A2;
        registers.Rdx = arguments.A3;
        registers.R10 = arguments.A4;
        registers.R8 = arguments.A5;
        registers.Rip = unchecked(registers.Rip - InstructionLength);
    }

    /// <summary>Carries out one hypercall.</summary>
    /// <returns>Its result, or <see cref="HypercallArguments.Restart"/>.</returns>
    public static long Dispatch(Vcpu vcpu, ulong number, ref HypercallArguments arguments)
    {
        switch (number)
        {
            case HypercallNumber.SetTrapTable: return SetTrapTableHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.MmuUpdate: return MmuUpdateHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.SetGdt: return GuestDescriptorTable.Handle(vcpu, ref arguments);
            case HypercallNumber.StackSwitch: return StackSwitchHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.SetCallbacks: return SetCallbacksHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.FpuTaskswitch: return FpuTaskswitchHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.SchedOpCompat: return SchedOpHypercall.HandleCompat(vcpu, ref arguments);
            case HypercallNumber.SetDebugreg: return SetDebugregHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.GetDebugreg: return GetDebugregHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.UpdateDescriptor: return UpdateDescriptorHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.MemoryOp: return MemoryOperationHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.Multicall: return MulticallHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.UpdateVaMapping: return UpdateVaMappingHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.SetTimerOp: return SetTimerHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.EventChannelOpCompat: return EventChannelOpCompatHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.XenVersion: return XenVersionHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.ConsoleIo: return ConsoleIoHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.PhysdevOpCompat: return PhysdevOpHypercall.HandleCompat(vcpu, ref arguments);
            case HypercallNumber.GrantTableOp: return GrantTableHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.VmAssist: return VmAssistHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.UpdateVaMappingOtherdomain: return UpdateVaMappingHypercall.HandleOtherDomain(vcpu, ref arguments);
            case HypercallNumber.Iret: return Fatal(vcpu);
            case HypercallNumber.VcpuOp: return VcpuOpHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.SetSegmentBase: return SetSegmentBaseHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.MmuextOp: return MmuExtendedHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.NmiOp: return NmiOpHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.SchedOp: return SchedOpHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.CallbackOp: return CallbackOpHypercall.Handle(vcpu, ref arguments);
            case HypercallNumber.EventChannelOp: return EventChannelHypercalls.Handle(vcpu, ref arguments);
            case HypercallNumber.PhysdevOp: return PhysdevOpHypercall.Handle(vcpu, ref arguments);
            default: return RefusedHypercalls.ResultOf(number);
        }
    }

    /// <summary>HYPERVISOR_iret arrives here when its frame on the guest's stack cannot be read, or inside a multicall.</summary>
    private static long Fatal(Vcpu vcpu)
    {
        vcpu.Domain.Crash("HYPERVISOR_iret without a frame"u8);
        return -Errno.EFAULT;
    }
}
