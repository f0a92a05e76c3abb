namespace Blanket.Core.Emulation;

/// <summary>Outcome of decoding.</summary>
internal enum DecodeStatus : byte
{
    /// <summary>An instruction that the emulator knows.</summary>
    Ok,

    /// <summary>Another instruction, or none.</summary>
    Unknown,

    /// <summary>The instruction goes on behind the bytes that could be read.</summary>
    Incomplete,

    /// <summary>More than 15 bytes: #GP (Intel SDM vol. 2, 2.3.11).</summary>
    TooLong,
}

/// <summary>
/// Decodes x86 instructions: prefixes, opcode, ModRM, SIB, displacement, immediate (Intel SDM vol. 2, 2). Exact for the opcodes of
/// <see cref="OpcodeForms"/> in 64-bit mode; in 32-bit mode for those of them that have no memory operand.
/// </summary>
internal ref struct InstructionDecoder
{
    private readonly ref readonly InstructionBytes _bytes;
    private readonly bool _is64Bit;
    private int _position;
    private bool _isIncomplete;
    private byte _rex;

    private InstructionDecoder(in InstructionBytes bytes, bool is64Bit)
    {
        _bytes = ref bytes;
        _is64Bit = is64Bit;
    }

    /// <summary>Decodes one instruction.</summary>
    /// <param name="bytes">Its bytes.</param>
    /// <param name="is64Bit">The code segment is a 64-bit one, else a 32-bit one.</param>
    /// <param name="instruction">What it is.</param>
    internal static DecodeStatus Decode(in InstructionBytes bytes, bool is64Bit, out Instruction instruction)
    {
        InstructionDecoder decoder = new(bytes, is64Bit);
        bool known = decoder.TryDecode(out instruction);
        if (decoder._isIncomplete)
        {
            return bytes.Count == InstructionBytes.MaximumLength ? DecodeStatus.TooLong : DecodeStatus.Incomplete;
        }

        instruction.Length = (byte)decoder._position;
        return known ? DecodeStatus.Ok : DecodeStatus.Unknown;
    }

    private bool TryDecode(out Instruction instruction)
    {
        instruction = default;
        instruction.Base = Instruction.NoRegister;
        instruction.Index = Instruction.NoRegister;
        instruction.Mode = 3;
        byte opcode = ReadPrefixes(ref instruction);
        if (opcode == 0x0f && !_isIncomplete)
        {
            instruction.Map = OpcodeMap.Secondary;
            opcode = Next();
        }

        if (_isIncomplete)
        {
            return false;
        }

        instruction.Opcode = opcode;
        OpcodeForm form = OpcodeForms.Of(instruction.Map, opcode);
        if (form == OpcodeForm.Unknown)
        {
            return false;
        }

        ReadOperands(form, ref instruction);
        return !_isIncomplete && (_is64Bit || !instruction.IsMemory);
    }

    private byte ReadPrefixes(ref Instruction instruction)
    {
        while (true)
        {
            byte value = Next();
            if (_isIncomplete)
            {
                return 0;
            }

            if (_is64Bit && (value & 0xf0) == 0x40)
            {
                _rex = value;
                continue;
            }

            if (!TakePrefix(value, ref instruction))
            {
                instruction.HasRex = _rex != 0;
                instruction.Wide = (_rex & 8) != 0;
                return value;
            }

            // A REX prefix that is not the last prefix is ignored.
            _rex = 0;
        }
    }

    private static bool TakePrefix(byte value, ref Instruction instruction)
    {
        switch (value)
        {
            case 0x66:
                instruction.OperandSizePrefix = true;
                return true;
            case 0x67:
                instruction.AddressSizePrefix = true;
                return true;
            case 0xf0:
                instruction.Lock = true;
                return true;
            case 0xf2:
                instruction.RepeatNotEqual = true;
                instruction.Repeat = false;
                return true;
            case 0xf3:
                instruction.Repeat = true;
                instruction.RepeatNotEqual = false;
                return true;
            case 0x64:
                instruction.Segment = SegmentOverride.Fs;
                return true;
            case 0x65:
                instruction.Segment = SegmentOverride.Gs;
                return true;
            case 0x26 or 0x2e or 0x36 or 0x3e:
                // In 64-bit mode these have no meaning and do not cancel an override of FS or GS that came before.
                return true;
            default:
                return false;
        }
    }

    private void ReadOperands(OpcodeForm form, ref Instruction instruction)
    {
        if ((form & (OpcodeForm.ModRm | OpcodeForm.RegistersOnly)) != 0)
        {
            byte modRm = Next();
            instruction.Mode = (form & OpcodeForm.RegistersOnly) != 0 ? (byte)3 : (byte)(modRm >> 6);
            instruction.Register = (byte)(((modRm >> 3) & 7) | ((_rex & 4) << 1));
            instruction.RegisterOrMemory = (byte)((modRm & 7) | ((_rex & 1) << 3));
            if (instruction.IsMemory && _is64Bit)
            {
                ReadMemoryOperand(modRm & 7, ref instruction);
            }
        }

        if ((form & OpcodeForm.Address) != 0)
        {
            instruction.Displacement = instruction.AddressSizePrefix ? (long)(uint)NextSigned(4) : NextSigned(8);
        }

        if ((form & OpcodeForm.Immediate8) != 0)
        {
            instruction.Immediate = NextSigned(1);
        }
        else if ((form & OpcodeForm.ImmediateFull) != 0)
        {
            instruction.Immediate = NextSigned(instruction.OperandSize == 2 ? 2 : 4);
        }
    }

    private void ReadMemoryOperand(int rm, ref Instruction instruction)
    {
        bool hasDisplacement32 = instruction.Mode == 2;
        if (rm == 4)
        {
            byte sib = Next();
            int index = ((sib >> 3) & 7) | ((_rex & 2) << 2);
            int sibBase = sib & 7;
            instruction.Scale = (byte)(sib >> 6);
            instruction.Index = index == 4 ? Instruction.NoRegister : (sbyte)index;
            bool noBase = sibBase == 5 && instruction.Mode == 0;
            instruction.Base = noBase ? Instruction.NoRegister : (sbyte)(sibBase | ((_rex & 1) << 3));
            hasDisplacement32 |= noBase;
        }
        else if (rm == 5 && instruction.Mode == 0)
        {
            instruction.Base = Instruction.InstructionPointer;
            hasDisplacement32 = true;
        }
        else
        {
            instruction.Base = (sbyte)instruction.RegisterOrMemory;
        }

        if (hasDisplacement32)
        {
            instruction.Displacement = NextSigned(4);
        }
        else if (instruction.Mode == 1)
        {
            instruction.Displacement = NextSigned(1);
        }
    }

    private byte Next()
    {
        if (_position >= _bytes.Count)
        {
            _isIncomplete = true;
            return 0;
        }

        return _bytes[_position++];
    }

    private long NextSigned(int size)
    {
        ulong value = 0;
        for (int i = 0; i < size; i++)
        {
            value |= (ulong)Next() << (8 * i);
        }

        int unused = 64 - 8 * size;
        return unchecked((long)(value << unused)) >> unused;
    }
}
