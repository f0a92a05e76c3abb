namespace Blanket.Core.Emulation;

/// <summary>Opcode maps (Intel SDM vol. 2, 2.1.2).</summary>
internal enum OpcodeMap : byte
{
    /// <summary>One-byte opcodes.</summary>
    Primary,

    /// <summary>Opcodes after 0x0f.</summary>
    Secondary,
}

/// <summary>Segment override in 64-bit mode, where only FS and GS have a base.</summary>
internal enum SegmentOverride : byte
{
    None,
    Fs,
    Gs,
}

/// <summary>A decoded instruction.</summary>
internal struct Instruction
{
    /// <summary>No base or index register.</summary>
    internal const sbyte NoRegister = -1;

    /// <summary><see cref="Base"/>: the address of the next instruction.</summary>
    internal const sbyte InstructionPointer = 16;

    internal OpcodeMap Map;
    internal byte Opcode;

    /// <summary>Length in bytes with all prefixes and immediates.</summary>
    internal byte Length;

    /// <summary>Prefix 0xf0.</summary>
    internal bool Lock;

    /// <summary>Prefix 0xf3, if it is the last of the repeat prefixes.</summary>
    internal bool Repeat;

    /// <summary>Prefix 0xf2, if it is the last of the repeat prefixes.</summary>
    internal bool RepeatNotEqual;

    /// <summary>Prefix 0x66.</summary>
    internal bool OperandSizePrefix;

    /// <summary>Prefix 0x67.</summary>
    internal bool AddressSizePrefix;
    internal SegmentOverride Segment;

    /// <summary>A REX prefix is there: byte registers 4 to 7 are SPL, BPL, SIL, DIL.</summary>
    internal bool HasRex;

    /// <summary>REX.W.</summary>
    internal bool Wide;

    /// <summary>ModRM.mod, 3 for a register operand.</summary>
    internal byte Mode;

    /// <summary>ModRM.reg with REX.R.</summary>
    internal byte Register;

    /// <summary>ModRM.rm with REX.B; a register if <see cref="Mode"/> is 3.</summary>
    internal byte RegisterOrMemory;

    /// <summary>Base register of a memory operand.</summary>
    internal sbyte Base;

    /// <summary>Index register of a memory operand.</summary>
    internal sbyte Index;

    /// <summary>log2 of the index's factor.</summary>
    internal byte Scale;

    /// <summary>Displacement, sign-extended; the whole address for opcodes 0xa2 and 0xa3.</summary>
    internal long Displacement;

    /// <summary>Immediate, sign-extended.</summary>
    internal long Immediate;

    /// <summary>Bytes of an operand whose opcode is not a byte form: 2, 4 or 8.</summary>
    internal readonly int OperandSize => Wide ? 8 : OperandSizePrefix ? 2 : 4;

    /// <summary>ModRM.reg without REX.R, where it extends the opcode.</summary>
    internal readonly int OpcodeExtension => Register & 7;

    /// <summary>Whether it has a memory operand by ModRM.</summary>
    internal readonly bool IsMemory => Mode != 3;
}
