namespace Blanket.Core.Emulation;

/// <summary>What follows an opcode that the emulator knows.</summary>
[System.Flags]
internal enum OpcodeForm : byte
{
    /// <summary>Not an opcode to emulate.</summary>
    Unknown = 0,

    /// <summary>Known; nothing follows.</summary>
    Known = 1,

    /// <summary>A ModRM byte, and SIB and displacement as it says.</summary>
    ModRm = 2,

    /// <summary>A ModRM byte that names registers whatever its mod field is.</summary>
    RegistersOnly = 4,

    /// <summary>An immediate of 1 byte.</summary>
    Immediate8 = 8,

    /// <summary>An immediate of the operand's size, at most 4 bytes.</summary>
    ImmediateFull = 16,

    /// <summary>An address of the address size.</summary>
    Address = 32,
}

/// <summary>The opcodes that guests' traps are emulated for.</summary>
internal static class OpcodeForms
{
    /// <summary>The form of an opcode.</summary>
    internal static OpcodeForm Of(OpcodeMap map, byte opcode) => map == OpcodeMap.Primary ? Primary(opcode) : Secondary(opcode);

    private static OpcodeForm Primary(byte opcode)
    {
        // ADD OR ADC SBB AND SUB XOR with a memory destination; 0x38 and 0x39, CMP, write nothing.
        if (opcode < 0x38 && (opcode & 7) < 2)
        {
            return OpcodeForm.ModRm;
        }

        return opcode switch
        {
            0x80 or 0x83 or 0xc6 => OpcodeForm.ModRm | OpcodeForm.Immediate8,
            0x81 or 0xc7 => OpcodeForm.ModRm | OpcodeForm.ImmediateFull,
            >= 0x86 and <= 0x89 => OpcodeForm.ModRm,
            0xa2 or 0xa3 => OpcodeForm.Address,
            0xa4 or 0xa5 or 0xaa or 0xab => OpcodeForm.Known,
            0xfe or 0xff => OpcodeForm.ModRm,

            // Forms 0 and 1 of these, TEST, have an immediate and write nothing; the emulator refuses them.
            0xf6 or 0xf7 => OpcodeForm.ModRm,

            >= 0x6c and <= 0x6f => OpcodeForm.Known,
            >= 0xe4 and <= 0xe7 => OpcodeForm.Immediate8,
            >= 0xec and <= 0xef => OpcodeForm.Known,
            0xfa or 0xfb => OpcodeForm.Known,
            _ => OpcodeForm.Unknown,
        };
    }

    private static OpcodeForm Secondary(byte opcode) => opcode switch
    {
        0x01 => OpcodeForm.ModRm,
        0x06 or 0x09 or 0x30 or 0x31 or 0x32 or 0xa2 => OpcodeForm.Known,
        >= 0x20 and <= 0x23 => OpcodeForm.RegistersOnly,
        0xab or 0xb3 or 0xbb => OpcodeForm.ModRm,
        0xba => OpcodeForm.ModRm | OpcodeForm.Immediate8,
        0xb0 or 0xb1 or 0xc0 or 0xc1 or 0xc3 or 0xc7 => OpcodeForm.ModRm,
        _ => OpcodeForm.Unknown,
    };
}
