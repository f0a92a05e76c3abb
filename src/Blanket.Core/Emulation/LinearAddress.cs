using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>Linear addresses of memory operands in 64-bit mode.</summary>
internal static class LinearAddress
{
    /// <summary>The address of a ModRM memory operand.</summary>
    /// <param name="registers">The guest's registers at the instruction.</param>
    /// <param name="instruction">The instruction.</param>
    /// <param name="bitOffset">Bytes to add before the segment base: bit strings (BT and others with a register).</param>
    internal static ulong OfOperand(ref GuestRegisters registers, in Instruction instruction, long bitOffset)
    {
        ulong address = unchecked((ulong)instruction.Displacement);
        if (instruction.Base == Instruction.InstructionPointer)
        {
            address = unchecked(address + registers.Rip + instruction.Length);
        }
        else if (instruction.Base != Instruction.NoRegister)
        {
            address = unchecked(address + RegisterFile.Get(ref registers, instruction.Base));
        }

        if (instruction.Index != Instruction.NoRegister)
        {
            address = unchecked(address + (RegisterFile.Get(ref registers, instruction.Index) << instruction.Scale));
        }

        return InSegment(instruction, unchecked(address + (ulong)bitOffset));
    }

    /// <summary>An effective address cut to the address size, with the base of an overridden segment.</summary>
    internal static ulong InSegment(in Instruction instruction, ulong effective) =>
        unchecked(Truncate(instruction, effective) + Base(instruction.Segment));

    /// <summary>An effective address cut to the address size.</summary>
    internal static ulong Truncate(in Instruction instruction, ulong effective) =>
        instruction.AddressSizePrefix ? (uint)effective : effective;

    // While the vCPU runs, its bases are in the CPU.
    private static ulong Base(SegmentOverride segment) => segment switch
    {
        SegmentOverride.Fs => Cpu.ReadMsr(Msr.FsBase),
        SegmentOverride.Gs => Cpu.ReadMsr(Msr.GsBase),
        _ => 0,
    };
}
