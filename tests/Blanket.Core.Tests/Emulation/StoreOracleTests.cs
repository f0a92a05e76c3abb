using System;
using System.Collections.Generic;
using System.IO;
using Blanket.Core.Emulation;
using Blanket.Machine;
using FsCheck;
using FsCheck.Xunit;
using Iced.Intel;
using Instruction = Iced.Intel.Instruction;

namespace Blanket.Core.Tests.Emulation;

/// <summary>Stores to page tables against the CPU that the tests run on: same registers, flags and memory afterwards.</summary>
public class StoreOracleTests
{
    private const ulong Slots = EmulationGuest.Table + EmulationGuest.FreeSlot * 8;
    private const ulong ArithmeticFlags = 0x8d5;
    private const int AdjustFlag = 0x10;

    private static readonly Code[] s_codes =
    [
        Code.Add_rm8_r8, Code.Add_rm16_r16, Code.Add_rm32_r32, Code.Add_rm64_r64, Code.Or_rm8_r8, Code.Or_rm32_r32, Code.Or_rm64_r64,
        Code.Adc_rm8_r8, Code.Adc_rm32_r32, Code.Adc_rm64_r64, Code.Sbb_rm8_r8, Code.Sbb_rm16_r16, Code.Sbb_rm64_r64,
        Code.And_rm8_r8, Code.And_rm32_r32, Code.And_rm64_r64, Code.Sub_rm8_r8, Code.Sub_rm16_r16, Code.Sub_rm32_r32, Code.Sub_rm64_r64,
        Code.Xor_rm8_r8, Code.Xor_rm32_r32, Code.Xor_rm64_r64,
        Code.Add_rm8_imm8, Code.Add_rm64_imm32, Code.Or_rm32_imm8, Code.Adc_rm64_imm8, Code.Sbb_rm32_imm32, Code.And_rm8_imm8,
        Code.And_rm64_imm8, Code.Sub_rm16_imm16, Code.Xor_rm64_imm32,
        Code.Xchg_rm8_r8, Code.Xchg_rm16_r16, Code.Xchg_rm32_r32, Code.Xchg_rm64_r64,
        Code.Mov_rm8_r8, Code.Mov_rm16_r16, Code.Mov_rm32_r32, Code.Mov_rm64_r64, Code.Mov_rm8_imm8, Code.Mov_rm16_imm16, Code.Mov_rm32_imm32,
        Code.Mov_rm64_imm32, Code.Inc_rm8, Code.Inc_rm32, Code.Inc_rm64, Code.Dec_rm8, Code.Dec_rm16, Code.Dec_rm64,
        Code.Not_rm8, Code.Not_rm64, Code.Neg_rm8, Code.Neg_rm32, Code.Neg_rm64,
        Code.Bts_rm16_r16, Code.Bts_rm32_r32, Code.Bts_rm64_r64, Code.Btr_rm32_r32, Code.Btr_rm64_r64, Code.Btc_rm16_r16, Code.Btc_rm64_r64,
        Code.Bts_rm32_imm8, Code.Bts_rm64_imm8, Code.Btr_rm16_imm8, Code.Btr_rm64_imm8, Code.Btc_rm64_imm8,
        Code.Cmpxchg_rm8_r8, Code.Cmpxchg_rm16_r16, Code.Cmpxchg_rm32_r32, Code.Cmpxchg_rm64_r64, Code.Cmpxchg8b_m64,
        Code.Xadd_rm8_r8, Code.Xadd_rm16_r16, Code.Xadd_rm32_r32, Code.Xadd_rm64_r64, Code.Movnti_m32_r32, Code.Movnti_m64_r64,
        Code.Stosb_m8_AL, Code.Stosw_m16_AX, Code.Stosd_m32_EAX, Code.Stosq_m64_RAX,
    ];

    // A table's contents without present entries, so that most results are acceptable ones.
    private static byte[] RandomSlots(Random random)
    {
        byte[] slots = new byte[256];
        random.NextBytes(slots);
        for (int i = 0; i < slots.Length; i += 8)
        {
            slots[i] &= 0xfe;
            slots[i + 7] &= random.Next(2) == 0 ? (byte)0 : (byte)0x7f;
        }

        return slots;
    }

    private static CpuRegisters RandomRegisters(Random random)
    {
        CpuRegisters registers = default;
        for (int i = 0; i < 16; i++)
        {
            registers.General[i] = unchecked(
                random.Next(3) == 0 ? (ulong)random.Next(-64, 64) : (ulong)random.NextInt64(long.MinValue, long.MaxValue));
        }

        registers.Flags = 0x202 | ((ulong)random.Next() & ArithmeticFlags) | (random.Next(2) == 0 ? 0x400UL : 0);
        return registers;
    }

    private static byte[] Encode(Code code, Random random, ref CpuRegisters registers, out ulong address)
    {
        // What a compare-and-exchange compares with is set later: it must not be part of the address.
        int first = code.Mnemonic() is Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b ? 3 : 0;
        int baseNumber = random.Next(first, 15);
        int indexNumber = random.Next(first, 15);
        int scale = 1 << random.Next(4);
        int displacement = random.Next(3) switch { 0 => 0, 1 => random.Next(-100, 100), _ => random.Next(-100_000, 100_000) };
        int size = Math.Max(1, new Instruction { Code = code, Op0Kind = OpKind.Memory }.MemorySize.GetSize());
        ulong slot = Slots + 64 + (ulong)random.Next(64 / size) * (ulong)size;
        address = slot;
        Register baseRegister = Register.RAX + (baseNumber >= 4 ? baseNumber + 1 : baseNumber);
        Register indexRegister = Register.RAX + (indexNumber >= 4 ? indexNumber + 1 : indexNumber);
        MemoryOperand memory = new(baseRegister, indexRegister, scale, displacement, 8);
        Instruction instruction = new() { Code = code };
        OpCodeInfo info = code.ToOpCode();
        if (info.Op0Kind == OpCodeOperandKind.es_rDI)
        {
            registers.General[7] = slot;
            return Bytes(StoreString(code));
        }

        int mode = random.Next(4);
        if (mode == 0)
        {
            memory = new MemoryOperand(Register.RIP, (long)slot);
        }
        else if (mode == 1)
        {
            memory = new MemoryOperand(baseRegister, displacement, 8);
            registers.General[baseRegister - Register.RAX] = unchecked(slot - (ulong)displacement);
        }
        else if (mode == 2)
        {
            registers.General[baseRegister - Register.RAX] = slot;
            memory = new MemoryOperand(baseRegister);
        }
        else
        {
            ulong index = registers.General[indexRegister - Register.RAX];
            ulong wanted = unchecked(slot - (ulong)displacement);
            if (baseRegister == indexRegister)
            {
                registers.General[baseRegister - Register.RAX] = slot;
                memory = new MemoryOperand(baseRegister);
            }
            else
            {
                registers.General[baseRegister - Register.RAX] = unchecked(wanted - index * (ulong)scale);
            }
        }

        return Bytes(CreateWithOperand(code, info, memory, random, ref registers, ref address));
    }

    private static Instruction CreateWithOperand(
        Code code, OpCodeInfo info, in MemoryOperand memory, Random random, ref CpuRegisters registers, ref ulong address)
    {
        if (info.OpCount == 1)
        {
            return Instruction.Create(code, memory);
        }

        switch (info.Op1Kind)
        {
            case OpCodeOperandKind.imm8 or OpCodeOperandKind.imm8sex16 or OpCodeOperandKind.imm8sex32 or OpCodeOperandKind.imm8sex64:
                return Instruction.Create(code, memory, random.Next(-128, 128));
            case OpCodeOperandKind.imm16:
                return Instruction.Create(code, memory, random.Next(-32768, 32768));
            case OpCodeOperandKind.imm32 or OpCodeOperandKind.imm32sex64:
                return Instruction.Create(code, memory, random.Next());
            default:
                break;
        }

        Register register = OperandRegister(info.Op1Kind, random, memory);
        if (info.Mnemonic is Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc)
        {
            // A small bit offset, so that the operand stays within the slots.
            int number = register.GetFullRegister() - Register.RAX;
            bool isFree = register.GetFullRegister() != memory.Base && register.GetFullRegister() != memory.Index;
            int size = register.GetSize();
            if (!isFree)
            {
                // The address doubles as the bit offset: far away. Use one that is not part of the address.
                register = memory.Base != Register.RDX && memory.Index != Register.RDX ? Sized(Register.RDX, size)
                    : memory.Base != Register.RSI && memory.Index != Register.RSI ? Sized(Register.RSI, size) : Sized(Register.R9, size);
                number = register.GetFullRegister() - Register.RAX;
            }

            long offset = random.Next(-300, 300);
            registers.General[number] = unchecked((ulong)offset) | (random.Next(2) == 0 || size == 8 ? 0 : 0xabcd_0000_0000_0000);
            if (size == 2)
            {
                registers.General[number] = (ushort)offset | 0x1234_5678_0000UL;
            }
            else if (size == 4)
            {
                registers.General[number] = (uint)offset | 0x1234_0000_0000UL;
            }

            address = unchecked(address + (ulong)((offset >> (size == 2 ? 4 : size == 4 ? 5 : 6)) * size));
        }

        return Instruction.Create(code, memory, register);
    }

    private static Instruction StoreString(Code code) => code switch
    {
        Code.Stosb_m8_AL => Instruction.CreateStosb(64),
        Code.Stosw_m16_AX => Instruction.CreateStosw(64),
        Code.Stosd_m32_EAX => Instruction.CreateStosd(64),
        _ => Instruction.CreateStosq(64),
    };

    private static Register Sized(Register full, int size) => size switch
    {
        2 => Register.AX + (full - Register.RAX),
        4 => Register.EAX + (full - Register.RAX),
        _ => full,
    };

    private static Register OperandRegister(OpCodeOperandKind kind, Random random, in MemoryOperand memory)
    {
        int number = random.Next(15);
        number += number >= 4 ? 1 : 0;
        switch (kind)
        {
            case OpCodeOperandKind.r8_reg:
                // AH to BH need an instruction without REX.
                bool canBeHigh = memory.Base is < Register.R8 and >= Register.RAX && memory.Index is < Register.R8 && random.Next(2) == 0;
                return canBeHigh ? Register.AH + random.Next(4) : Low(number);
            case OpCodeOperandKind.r16_reg:
                return Register.AX + number;
            case OpCodeOperandKind.r32_reg:
                return Register.EAX + number;
            default:
                return Register.RAX + number;
        }
    }

    private static Register Low(int number) => number switch
    {
        < 4 => Register.AL + number,
        < 8 => Register.SPL + (number - 4),
        _ => Register.R8L + (number - 8),
    };

    private static byte[] Bytes(in Instruction instruction)
    {
        using MemoryStream stream = new();
        Encoder encoder = Encoder.Create(64, new StreamCodeWriter(stream));
        encoder.Encode(instruction, EmulationGuest.Code);
        return stream.ToArray();
    }

    private static bool HasUndefinedAdjust(Code code) =>
        code.Mnemonic() is Mnemonic.And or Mnemonic.Or or Mnemonic.Xor;

    private static bool LeavesOnlyCarryDefined(Code code) => code.Mnemonic() is Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc;

    [Property(MaxTest = 6000)]
    public void StoresDoWhatTheCpuDoes(DoNotSize<int> seed)
    {
        Random random = new(seed.Item);
        Code code = s_codes[random.Next(s_codes.Length)];
        EmulationGuest guest = SharedGuest;
        CpuRegisters before = RandomRegisters(random);
        byte[] instruction = Encode(code, random, ref before, out ulong address);
        byte[] slots = RandomSlots(random);
        if (code.Mnemonic() is Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b && random.Next(2) == 0)
        {
            MakeEqual(slots, address, ref before, code);
        }

        guest.SetTable(slots);
        guest.SetCode(instruction);
        Load(ref guest.Registers, before);
        NativeCpu.Instance.Write(guest.Memory.ToArray());
        CpuRegisters after = before;
        NativeCpu.Instance.Execute(EmulationGuest.Code, instruction, ref after);
        EmulationResult result = guest.Store(address);
        AssertSame(guest, result, instruction, before, after, code, address);
    }

    private static EmulationGuest? s_guest;

    private static EmulationGuest SharedGuest => s_guest ??= new EmulationGuest();

    private static void MakeEqual(byte[] slots, ulong address, ref CpuRegisters registers, Code code)
    {
        int at = (int)(address - Slots);
        ulong value = BitConverter.ToUInt64(slots, at & ~7) >> (8 * (at & 7));
        registers.General[0] = code == Code.Cmpxchg8b_m64 ? (uint)value : value;
        registers.General[2] = code == Code.Cmpxchg8b_m64 ? value >> 32 : registers.General[2];
    }

    private static void Load(ref GuestRegisters target, CpuRegisters source)
    {
        for (int i = 0; i < 16; i++)
        {
            RegisterFile.Get(ref target, i) = source.General[i];
        }

        target.Rflags = source.Flags;
    }

    private static void AssertSame(
        EmulationGuest guest, EmulationResult result, byte[] instruction, CpuRegisters before, CpuRegisters after, Code code, ulong address)
    {
        string what = $"{code} {Convert.ToHexString(instruction)} at {address:x}";
        ReadOnlySpan<byte> native = NativeCpu.Instance.Read().AsSpan(Cpu.PageSize, Cpu.PageSize);
        int word = (int)(address & 0xff8);
        bool isPresent = (native[word] & 1) != 0;
        if ((address & (ulong)(OperandSize(code) - 1)) != 0)
        {
            Assert.Equal(EmulationKind.NotHandled, result.Kind);
            return;
        }

        if (isPresent && result.Kind == EmulationKind.NotHandled)
        {
            // The entry that it would have made is refused: nothing has changed.
            Assert.True(guest.TableBytes.SequenceEqual(guest.Memory.Slice(Cpu.PageSize, Cpu.PageSize)));
            Assert.Equal(before.General[0], guest.Registers.Rax);
            return;
        }

        Assert.True(result.Kind == EmulationKind.Done, what);
        Assert.True(guest.TableBytes.SequenceEqual(native), what);
        Assert.Equal(EmulationGuest.Code + (ulong)instruction.Length, guest.Registers.Rip);
        for (int i = 0; i < 16; i++)
        {
            ulong expected = i == 4 ? before.General[4] : after.General[i];
            Assert.True(expected == RegisterFile.Get(ref guest.Registers, i), $"{what}, register {i}");
        }

        ulong compared = ArithmeticFlags;
        compared &= HasUndefinedAdjust(code) ? ~(ulong)AdjustFlag : ulong.MaxValue;
        compared &= LeavesOnlyCarryDefined(code) ? 1UL : ulong.MaxValue;
        Assert.True((after.Flags & compared) == (guest.Registers.Rflags & compared), $"{what}, flags {after.Flags:x} {guest.Registers.Rflags:x}");
    }

    private static int OperandSize(Code code) => Math.Max(1, new Instruction { Code = code, Op0Kind = OpKind.Memory }.MemorySize.GetSize());

    [Fact]
    public void EveryFormIsCoveredByTheOracle()
    {
        HashSet<Mnemonic> mnemonics = [];
        foreach (Code code in s_codes)
        {
            mnemonics.Add(code.Mnemonic());
        }

        Assert.Equal(24, mnemonics.Count);
    }
}
