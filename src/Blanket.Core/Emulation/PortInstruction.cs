using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>IN, OUT, INS and OUTS.</summary>
internal static class PortInstruction
{
    private const byte OutBit = 2;
    private const byte WideBit = 1;
    private const byte PortInDxBit = 8;
    private const byte FirstString = 0x6c;
    private const byte LastString = 0x6f;
    private const ulong DirectionFlag = 1 << 10;

    /// <summary>Whether an opcode of the primary map is one of these.</summary>
    internal static bool Contains(byte opcode) =>
        opcode is >= FirstString and <= LastString or >= 0xe4 and <= 0xe7 or >= 0xec and <= 0xef;

    /// <summary>Carries out one; without permission it is the guest's #GP.</summary>
    internal static EmulationResult Execute(Vcpu vcpu, in Instruction instruction, CodeMode mode)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        bool isString = instruction.Opcode <= LastString;
        bool hasPortInDx = isString || (instruction.Opcode & PortInDxBit) != 0;
        uint port = hasPortInDx ? (ushort)registers.Rdx : (byte)instruction.Immediate;
        int size = (instruction.Opcode & WideBit) == 0 ? 1 : instruction.OperandSizePrefix && !instruction.Wide ? 2 : 4;
        if ((isString && mode != CodeMode.Long64) || !PortAccess.IsAllowed(vcpu, port, size))
        {
            return EmulationResult.NotHandled;
        }

        ulong breakpoints = DebugRegisters.MatchPort(vcpu, port, size);
        if (isString)
        {
            return ExecuteString(vcpu, instruction, port, size, breakpoints);
        }

        if ((instruction.Opcode & OutBit) != 0)
        {
            PortAccess.Write(vcpu.Domain, port, size, (uint)(registers.Rax & RegisterFile.Mask(size)));
        }
        else
        {
            RegisterFile.Write(ref registers, instruction, RegisterFile.Accumulator, size, PortAccess.Read(vcpu.Domain, port, size));
        }

        registers.Rip = unchecked(registers.Rip + instruction.Length);
        return Retirement.Finish(vcpu, breakpoints);
    }

    // One element after the other; the registers tell how far it got when something stops it half-way.
    private static EmulationResult ExecuteString(Vcpu vcpu, in Instruction instruction, uint port, int size, ulong breakpoints)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        bool repeats = instruction.Repeat || instruction.RepeatNotEqual;
        bool isOut = (instruction.Opcode & OutBit) != 0;
        ref ulong pointer = ref isOut ? ref registers.Rsi : ref registers.Rdi;
        bool done = false;
        for (int step = 0; !done && step < Preemption.CheckInterval && !(step != 0 && Preemption.IsNeeded); step++)
        {
            if (repeats && LinearAddress.Truncate(instruction, registers.Rcx) == 0)
            {
                done = true;
                break;
            }

            if (!TryMove(vcpu, instruction, port, size, isOut, pointer, out EmulationResult fault))
            {
                return fault;
            }

            ulong change = (registers.Rflags & DirectionFlag) != 0 ? unchecked(0UL - (uint)size) : (uint)size;
            pointer = LinearAddress.Truncate(instruction, unchecked(pointer + change));
            registers.Rcx = repeats ? LinearAddress.Truncate(instruction, unchecked(registers.Rcx - 1)) : registers.Rcx;
            done = !repeats || registers.Rcx == 0;
            if (breakpoints != 0)
            {
                break;
            }
        }

        registers.Rip = done ? unchecked(registers.Rip + instruction.Length) : registers.Rip;
        return done || breakpoints != 0 ? Retirement.Finish(vcpu, breakpoints) : EmulationResult.Done;
    }

    private static bool TryMove(
        Vcpu vcpu, in Instruction instruction, uint port, int size, bool isOut, ulong pointer, out EmulationResult fault)
    {
        fault = EmulationResult.Done;

        // INS always writes to ES, whose base is 0.
        ulong address = isOut ? LinearAddress.InSegment(instruction, pointer) : LinearAddress.Truncate(instruction, pointer);
        if (!AddressSpace.IsGuestRange(address, (uint)size))
        {
            fault = EmulationResult.GeneralProtection;
            return false;
        }

        if (!isOut)
        {
            uint value = PortAccess.Read(vcpu.Domain, port, size);
            if (!GuestOperand.TryWrite(address, size, value))
            {
                fault = FetchFault.OfWrite(vcpu, address, size);
            }
        }
        else if (GuestOperand.TryRead(address, size, out ulong value))
        {
            PortAccess.Write(vcpu.Domain, port, size, (uint)value);
        }
        else
        {
            fault = FetchFault.OfRead(vcpu, address, size);
        }

        return fault.Kind == EmulationKind.Done;
    }
}
