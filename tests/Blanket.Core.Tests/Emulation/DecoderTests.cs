using System;
using System.Collections.Generic;
using Blanket.Core.Emulation;
using FsCheck;
using FsCheck.Xunit;
using Iced.Intel;
using Instruction = Blanket.Core.Emulation.Instruction;

namespace Blanket.Core.Tests.Emulation;

/// <summary>The decoder against Iced's, on random instruction streams.</summary>
public class DecoderTests
{
    private static readonly byte[] s_prefixes = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x64, 0x65, 0x26, 0x2e, 0x36, 0x3e];

    private static readonly byte[] s_primary =
    [
        0x00, 0x01, 0x08, 0x09, 0x10, 0x11, 0x18, 0x19, 0x20, 0x21, 0x28, 0x29, 0x30, 0x31, 0x80, 0x81, 0x83, 0x86, 0x87,
        0x88, 0x89, 0xa2, 0xa3, 0xa4, 0xa5, 0xaa, 0xab, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff,
        0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0xfa, 0xfb,
    ];

    private static readonly byte[] s_secondary =
    [
        0x01, 0x06, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0xa2, 0xab, 0xb3, 0xbb, 0xba, 0xb0, 0xb1, 0xc0, 0xc1, 0xc3, 0xc7,
    ];

    private static byte[] RandomInstruction(int seed)
    {
        Random random = new(seed);
        List<byte> bytes = [];
        for (int i = random.Next(4); i > 0; i--)
        {
            bytes.Add(random.Next(3) == 0 ? (byte)(0x40 + random.Next(16)) : s_prefixes[random.Next(s_prefixes.Length)]);
        }

        if (random.Next(2) == 0)
        {
            bytes.Add(s_primary[random.Next(s_primary.Length)]);
        }
        else
        {
            bytes.Add(0x0f);
            bytes.Add(s_secondary[random.Next(s_secondary.Length)]);
        }

        byte[] rest = new byte[15];
        random.NextBytes(rest);
        bytes.AddRange(rest);
        return [.. bytes[..15]];
    }

    [Property(MaxTest = 20_000)]
    public void LengthAndOperandsAreIceds(DoNotSize<int> seed)
    {
        byte[] code = RandomInstruction(seed.Item);
        Decoder oracle = Decoder.Create(64, code, 0x1000, DecoderOptions.NoInvalidCheck);
        oracle.Decode(out Iced.Intel.Instruction expected);
        DecodeStatus status = InstructionDecoder.Decode(InstructionBytes.From(code), true, out Instruction actual);
        if (expected.IsInvalid || IsRefused(expected))
        {
            return;
        }

        Assert.Equal(DecodeStatus.Ok, status);
        Assert.Equal(expected.Length, actual.Length);
        AssertOperands(expected, actual);
    }

    // Forms that are decoded without their immediate or displacement, because the emulator refuses them.
    private static bool IsRefused(in Iced.Intel.Instruction instruction) => instruction.Mnemonic is Mnemonic.Test or Mnemonic.Xbegin;

    private static void AssertOperands(in Iced.Intel.Instruction expected, in Instruction actual)
    {
        Assert.Equal(expected.HasLockPrefix, actual.Lock && !IsLockElsewhere(expected));
        for (int i = 0; i < expected.OpCount; i++)
        {
            switch (expected.GetOpKind(i))
            {
                case OpKind.Memory when actual.Opcode is not (0xa2 or 0xa3) || actual.Map != OpcodeMap.Primary:
                    AssertMemory(expected, actual);
                    break;
                case OpKind.Memory:
                    Assert.Equal(expected.MemoryDisplacement64, unchecked((ulong)actual.Displacement));
                    break;
                case OpKind.Immediate8 when actual.Map == OpcodeMap.Primary && actual.Opcode >= 0xe4:
                    Assert.Equal(expected.GetImmediate(i) & 0xff, unchecked((ulong)actual.Immediate) & 0xff);
                    break;
                case OpKind.Immediate8 or OpKind.Immediate16 or OpKind.Immediate32 or OpKind.Immediate8to16 or OpKind.Immediate8to32
                    or OpKind.Immediate8to64 or OpKind.Immediate32to64:
                    AssertImmediate(expected.GetImmediate(i), expected.GetOpKind(i), actual);
                    break;
                default:
                    break;
            }
        }

        SegmentOverride segment = expected.SegmentPrefix switch
        {
            Register.FS => SegmentOverride.Fs,
            Register.GS => SegmentOverride.Gs,
            _ => SegmentOverride.None,
        };
        if (expected.IsStringInstruction || HasMemory(expected))
        {
            Assert.Equal(segment, actual.Segment);
        }
    }

    private static bool IsLockElsewhere(in Iced.Intel.Instruction instruction) =>
        instruction.Mnemonic == Mnemonic.Mov && instruction.OpCount == 2 && !instruction.HasLockPrefix;

    private static bool HasMemory(in Iced.Intel.Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                return true;
            }
        }

        return false;
    }

    private static void AssertImmediate(ulong expected, OpKind kind, in Instruction actual)
    {
        ulong mask = kind switch
        {
            OpKind.Immediate8 => 0xff,
            OpKind.Immediate16 or OpKind.Immediate8to16 => 0xffff,
            OpKind.Immediate32 or OpKind.Immediate8to32 => 0xffffffff,
            _ => ulong.MaxValue,
        };
        Assert.Equal(expected & mask, unchecked((ulong)actual.Immediate) & mask);
    }

    private static void AssertMemory(in Iced.Intel.Instruction expected, in Instruction actual)
    {
        Assert.True(actual.IsMemory);
        if (expected.IsIPRelativeMemoryOperand)
        {
            Assert.Equal(Instruction.InstructionPointer, actual.Base);
            ulong target = unchecked(0x1000 + (ulong)actual.Length + (ulong)actual.Displacement);
            Assert.Equal(expected.IPRelativeMemoryAddress, actual.AddressSizePrefix ? (uint)target : target);
            return;
        }

        Assert.Equal(Number(expected.MemoryBase), actual.Base);
        Assert.Equal(Number(expected.MemoryIndex), actual.Index);
        if (expected.MemoryIndex != Register.None)
        {
            Assert.Equal(expected.MemoryIndexScale, 1 << actual.Scale);
        }

        ulong mask = actual.AddressSizePrefix ? uint.MaxValue : ulong.MaxValue;
        Assert.Equal(expected.MemoryDisplacement64 & mask, unchecked((ulong)actual.Displacement) & mask);
    }

    private static sbyte Number(Register register) =>
        register == Register.None ? Instruction.NoRegister : (sbyte)(register.GetFullRegister() - Register.RAX);

    [Property(MaxTest = 3000)]
    public void InstructionsThatGoOnBehindTheBytesAreIncomplete(DoNotSize<int> seed)
    {
        byte[] code = RandomInstruction(seed.Item);
        if (InstructionDecoder.Decode(InstructionBytes.From(code), true, out Instruction whole) != DecodeStatus.Ok)
        {
            return;
        }

        for (int length = 0; length < whole.Length; length++)
        {
            InstructionBytes part = InstructionBytes.From(code.AsSpan(0, length));
            Assert.Equal(DecodeStatus.Incomplete, InstructionDecoder.Decode(part, true, out _));
        }

        InstructionBytes exact = InstructionBytes.From(code.AsSpan(0, whole.Length));
        Assert.Equal(DecodeStatus.Ok, InstructionDecoder.Decode(exact, true, out Instruction again));
        Assert.Equal(whole.Length, again.Length);
    }

    [Fact]
    public void MoreThanFifteenBytesAreTooLong()
    {
        byte[] code = new byte[15];
        Array.Fill(code, (byte)0x66);
        Assert.Equal(DecodeStatus.TooLong, InstructionDecoder.Decode(InstructionBytes.From(code), true, out _));
    }

    [Property(MaxTest = 5000)]
    public void RandomBytesNeverBreakTheDecoder(byte[] code, bool is64Bit)
    {
        DecodeStatus status = InstructionDecoder.Decode(InstructionBytes.From(code), is64Bit, out Instruction instruction);
        Assert.True(status != DecodeStatus.Ok || (instruction.Length > 0 && instruction.Length <= code.Length));
    }

    [Property(MaxTest = 3000)]
    public void ThirtyTwoBitFormsWithoutMemoryOperandsAreIceds(DoNotSize<int> seed)
    {
        Random random = new(seed.Item);
        byte[] code = RandomInstruction(seed.Item);
        code[0] = random.Next(2) == 0 ? (byte)0x66 : code[0];
        Decoder oracle = Decoder.Create(32, code, 0x1000, DecoderOptions.NoInvalidCheck);
        oracle.Decode(out Iced.Intel.Instruction expected);
        DecodeStatus status = InstructionDecoder.Decode(InstructionBytes.From(code), false, out Instruction actual);
        if (status == DecodeStatus.Ok && !expected.IsInvalid && !IsRefused(expected))
        {
            Assert.False(HasMemory(expected) && actual.Opcode is not (0xa2 or 0xa3));
            if (actual.Opcode is not (0xa2 or 0xa3) || actual.Map == OpcodeMap.Secondary)
            {
                Assert.Equal(expected.Length, actual.Length);
            }
        }
    }
}
