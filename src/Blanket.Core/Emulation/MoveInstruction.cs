using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>MOV to and from control and debug registers (opcodes 0x0f 0x20 to 0x0f 0x23).</summary>
internal static class MoveInstruction
{
    private const byte DebugBit = 1;
    private const byte WriteBit = 2;

    internal static EmulationResult Execute(Vcpu vcpu, in Instruction instruction, CodeMode mode)
    {
        // LOCK MOV CR0 names CR8, which guests do not have.
        if (instruction.Lock)
        {
            return EmulationResult.NotHandled;
        }

        int size = mode == CodeMode.Long64 ? 8 : 4;
        bool isDebug = (instruction.Opcode & DebugBit) != 0;
        return (instruction.Opcode & WriteBit) != 0
            ? Write(vcpu, instruction, isDebug, size)
            : Read(vcpu, instruction, isDebug, size);
    }

    private static EmulationResult Read(Vcpu vcpu, in Instruction instruction, bool isDebug, int size)
    {
        ulong value;
        if (isDebug)
        {
            if (!DebugRegisters.TryGet(vcpu, instruction.Register, out value))
            {
                return EmulationResult.InvalidOpcode;
            }
        }
        else if (!ControlRegisters.TryGet(vcpu, instruction.Register, out value))
        {
            return EmulationResult.NotHandled;
        }

        RegisterFile.Write(ref vcpu.State.Registers, instruction, instruction.RegisterOrMemory, size, value);
        return Retirement.Complete(vcpu, instruction.Length);
    }

    private static EmulationResult Write(Vcpu vcpu, in Instruction instruction, bool isDebug, int size)
    {
        ulong value = RegisterFile.Read(ref vcpu.State.Registers, instruction, instruction.RegisterOrMemory, size);
        long result = isDebug
            ? DebugRegisters.TrySet(vcpu, instruction.Register, value)
            : ControlRegisters.TrySet(vcpu, instruction.Register, value);
        return result switch
        {
            0 => Retirement.Complete(vcpu, instruction.Length),

            // Validating a root table was interrupted: the guest executes the instruction again.
            -Errno.ERESTART => EmulationResult.Done,
            -Errno.ENODEV => EmulationResult.InvalidOpcode,
            _ => EmulationResult.GeneralProtection,
        };
    }
}
