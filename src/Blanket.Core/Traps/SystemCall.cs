using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Traps;

/// <summary>System calls of guest user mode that the assembly path gave up on (entry.S, guest_system_call).</summary>
public static class SystemCall
{
    private const byte InvalidOpcode = 6;
    private const byte GeneralProtection = 13;
    private const int InstructionLength = 2;

    /// <summary>No callback: #UD at the instruction, as on a CPU without SYSCALL. A stack that cannot take the frame: the guest crashes.</summary>
    public static void DeliverSlowly(Vcpu vcpu)
    {
        ref VcpuState state = ref vcpu.State;
        state.Registers.EntryVector = 0;
        if (state.SyscallCallback == 0)
        {
            state.Registers.Rip = unchecked(state.Registers.Rip - InstructionLength);
            TrapDelivery.Inject(vcpu, InvalidOpcode);
        }
        else
        {
            TrapDelivery.Enter(vcpu, state.SyscallCallback, state.SyscallMasksEvents != 0);
        }
    }

    /// <summary>SYSCALL of 32-bit code: to the guest's callback for it; #UD where it has none, as on a CPU that does not allow it.</summary>
    public static void Deliver32(Vcpu vcpu)
    {
        ref VcpuState state = ref vcpu.State;
        if (state.InKernel == 0 && state.Syscall32Callback != 0)
        {
            TrapDelivery.Enter(vcpu, state.Syscall32Callback, state.Syscall32MasksEvents != 0);
            return;
        }

        state.Registers.Rip = unchecked(state.Registers.Rip - InstructionLength);
        TrapDelivery.Inject(vcpu, InvalidOpcode);
    }

    /// <summary>SYSENTER: to the guest's callback for it; #GP where it has none. The frame knows neither RIP nor RSP, as SYSENTER does not.</summary>
    public static void DeliverSysenter(Vcpu vcpu)
    {
        ref VcpuState state = ref vcpu.State;
        if (state.InKernel == 0 && state.SysenterCallback != 0)
        {
            TrapDelivery.Enter(vcpu, state.SysenterCallback, state.SysenterMasksEvents != 0);
        }
        else
        {
            TrapDelivery.Inject(vcpu, GeneralProtection, 0);
        }
    }
}
