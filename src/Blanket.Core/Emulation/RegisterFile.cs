using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>The guest's general registers by number and size, as instructions name them.</summary>
internal static class RegisterFile
{
    /// <summary>RAX.</summary>
    internal const int Accumulator = 0;

    /// <summary>A whole register, 0 to 15.</summary>
    internal static ref ulong Get(ref GuestRegisters registers, int number)
    {
        switch (number)
        {
            case 0:
                return ref registers.Rax;
            case 1:
                return ref registers.Rcx;
            case 2:
                return ref registers.Rdx;
            case 3:
                return ref registers.Rbx;
            case 4:
                return ref registers.Rsp;
            case 5:
                return ref registers.Rbp;
            case 6:
                return ref registers.Rsi;
            case 7:
                return ref registers.Rdi;
            case 8:
                return ref registers.R8;
            case 9:
                return ref registers.R9;
            case 10:
                return ref registers.R10;
            case 11:
                return ref registers.R11;
            case 12:
                return ref registers.R12;
            case 13:
                return ref registers.R13;
            case 14:
                return ref registers.R14;
            default:
                Check.That(number == 15);
                return ref registers.R15;
        }
    }

    /// <summary>The low <paramref name="size"/> bytes of a register, or AH, CH, DH, BH.</summary>
    internal static ulong Read(ref GuestRegisters registers, in Instruction instruction, int number, int size)
    {
        if (IsHighByte(instruction, number, size))
        {
            return (Get(ref registers, number - 4) >> 8) & 0xff;
        }

        return Get(ref registers, number) & Mask(size);
    }

    /// <summary>Writes a register: 4 bytes clear the upper half, 1 and 2 bytes leave the rest.</summary>
    internal static void Write(ref GuestRegisters registers, in Instruction instruction, int number, int size, ulong value)
    {
        if (IsHighByte(instruction, number, size))
        {
            ref ulong whole = ref Get(ref registers, number - 4);
            whole = (whole & ~0xff00UL) | ((value & 0xff) << 8);
            return;
        }

        ref ulong register = ref Get(ref registers, number);
        register = size == 4 ? (uint)value : (register & ~Mask(size)) | (value & Mask(size));
    }

    /// <summary>The low <paramref name="size"/> bytes, 1 to 8.</summary>
    internal static ulong Mask(int size) => ulong.MaxValue >> (64 - 8 * size);

    private static bool IsHighByte(in Instruction instruction, int number, int size) =>
        size == 1 && !instruction.HasRex && number is >= 4 and <= 7;
}
