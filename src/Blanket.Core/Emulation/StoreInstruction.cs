using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>One instruction that stores to a page table (Intel SDM vol. 2).</summary>
internal ref struct StoreInstruction
{
    private const ulong DirectionFlag = 1 << 10;
    private const int BitsPerByte = 8;

    // Operations of the ALU opcodes 0x00-0x3f and of ModRM.reg of 0x80-0x83.
    private const int OperationAdd = 0;
    private const int OperationOr = 1;
    private const int OperationAdc = 2;
    private const int OperationSbb = 3;
    private const int OperationAnd = 4;
    private const int OperationSub = 5;
    private const int OperationXor = 6;
    private const int OperationCompare = 7;

    // ModRM.reg of 0x0f 0xba.
    private const int BitSet = 5;
    private const int BitReset = 6;
    private const int BitComplement = 7;

    private readonly Vcpu _vcpu;
    private readonly ulong _faultAddress;
    private readonly Instruction _instruction;
    private readonly ref GuestRegisters _registers;
    private ulong _flags;

    internal StoreInstruction(Vcpu vcpu, ulong faultAddress, in Instruction instruction)
    {
        _vcpu = vcpu;
        _faultAddress = faultAddress;
        _instruction = instruction;
        _registers = ref vcpu.State.Registers;
        _flags = _registers.Rflags;
    }

    internal EmulationResult Execute()
    {
        byte opcode = _instruction.Opcode;
        if (_instruction.Map == OpcodeMap.Secondary)
        {
            return ExecuteSecondary(opcode);
        }

        int size = (opcode & 1) == 0 ? 1 : _instruction.OperandSize;
        switch (opcode)
        {
            case 0xa2 or 0xa3:
                return Store(AddressOfSegment(unchecked((ulong)_instruction.Displacement)), size, Register(0, size));
            case 0xa4 or 0xa5:
                return MoveString(size);
            case 0xaa or 0xab:
                return StoreString(size, Register(0, size));
            default:
                return _instruction.IsMemory ? ExecuteModRm(opcode, size) : EmulationResult.NotHandled;
        }
    }

    private EmulationResult ExecuteModRm(byte opcode, int size)
    {
        switch (opcode)
        {
            case 0x86 or 0x87:
                return Exchange(size);
            case 0x88 or 0x89:
                return Store(Address(), size, Register(_instruction.Register, size));
            case 0xc6 or 0xc7 when _instruction.OpcodeExtension == 0:
                return Store(Address(), size, unchecked((ulong)_instruction.Immediate) & RegisterFile.Mask(size));
            case 0x80 or 0x81 or 0x83:
                return Modify(size, _instruction.OpcodeExtension, unchecked((ulong)_instruction.Immediate));
            case < 0x38:
                return Modify(size, opcode >> 3, Register(_instruction.Register, size));
            case 0xfe or 0xff when _instruction.OpcodeExtension <= 1:
                return ModifyUnary(size, isIncrement: _instruction.OpcodeExtension == 0, isDecrement: _instruction.OpcodeExtension == 1);
            case 0xf6 or 0xf7 when _instruction.OpcodeExtension is 2 or 3:
                return ModifyUnary(size, isIncrement: false, isDecrement: false);
            default:
                return EmulationResult.NotHandled;
        }
    }

    private EmulationResult ExecuteSecondary(byte opcode)
    {
        int size = _instruction.OperandSize;
        if (!_instruction.IsMemory)
        {
            return EmulationResult.NotHandled;
        }

        switch (opcode)
        {
            case 0xab:
                return ModifyBit(size, BitSet, hasOffsetInRegister: true);
            case 0xb3:
                return ModifyBit(size, BitReset, hasOffsetInRegister: true);
            case 0xbb:
                return ModifyBit(size, BitComplement, hasOffsetInRegister: true);
            case 0xba when _instruction.OpcodeExtension >= BitSet:
                return ModifyBit(size, _instruction.OpcodeExtension, hasOffsetInRegister: false);
            case 0xb0 or 0xb1:
                return CompareExchange(opcode == 0xb0 ? 1 : size);
            case 0xc0 or 0xc1:
                return ExchangeAdd(opcode == 0xc0 ? 1 : size);
            case 0xc3 when size != 2 && !_instruction.Lock:
                return Store(Address(), size, Register(_instruction.Register, size));
            case 0xc7 when _instruction.OpcodeExtension == 1 && !_instruction.Wide:
                return CompareExchange8();
            default:
                return EmulationResult.NotHandled;
        }
    }

    private readonly ulong Register(int number, int size) => RegisterFile.Read(ref _registers, _instruction, number, size);

    private readonly ulong Address() => LinearAddress.OfOperand(ref _registers, _instruction, 0);

    private readonly ulong AddressOfSegment(ulong effective) => LinearAddress.InSegment(_instruction, effective);

    private readonly EmulationResult Store(ulong address, int size, ulong value)
    {
        // LOCK is #UD with a plain store, which comes before the page fault that brought us here.
        if (_instruction.Lock)
        {
            return EmulationResult.NotHandled;
        }

        return Write(address, size, 0, value, isCompareExchange: false, out _) == PageTableWriteResult.Written
            ? Complete(_registers.Rflags)
            : EmulationResult.NotHandled;
    }

    private readonly PageTableWriteResult Write(
        ulong address, int size, ulong expected, ulong value, bool isCompareExchange, out ulong seen)
    {
        // Only on the page that faulted: that one is known to be mapped read-only to a page table.
        if ((address ^ _faultAddress) >> Cpu.PageShift != 0)
        {
            seen = 0;
            return PageTableWriteResult.NotPageTable;
        }

        return GuestPageTableWrites.TryWrite(_vcpu, address, expected, value, size, isCompareExchange, out seen);
    }

    // Reads, computes, and writes if nothing has changed since; if something has, the guest executes the instruction again.
    private readonly EmulationResult Replace(ulong address, int size, ulong old, ulong value, ulong flags) =>
        Write(address, size, old, value, isCompareExchange: true, out _) switch
        {
            PageTableWriteResult.Written => Complete(flags),
            PageTableWriteResult.Different => EmulationResult.Done,
            _ => EmulationResult.NotHandled,
        };

    private readonly EmulationResult Complete(ulong flags)
    {
        _registers.Rflags = flags;
        return Retirement.Complete(_vcpu, _instruction.Length);
    }

    private EmulationResult Modify(int size, int operation, ulong operand)
    {
        ulong address = Address();
        operand &= RegisterFile.Mask(size);
        if (operation == OperationCompare)
        {
            return EmulationResult.NotHandled;
        }

        if (!GuestOperand.TryRead(address, size, out ulong old))
        {
            return FetchFault.OfRead(_vcpu, address, size);
        }

        ulong carry = _flags & Arithmetic.Carry;
        ulong value;
        switch (operation)
        {
            case OperationAdd:
                value = Arithmetic.Add(old, operand, 0, size, ref _flags);
                break;
            case OperationAdc:
                value = Arithmetic.Add(old, operand, carry, size, ref _flags);
                break;
            case OperationSub:
                value = Arithmetic.Subtract(old, operand, 0, size, ref _flags);
                break;
            case OperationSbb:
                value = Arithmetic.Subtract(old, operand, carry, size, ref _flags);
                break;
            default:
                value = operation == OperationOr ? old | operand : operation == OperationAnd ? old & operand : old ^ operand;
                Arithmetic.SetLogic(value, size, ref _flags);
                break;
        }

        return Replace(address, size, old, value, _flags);
    }

    private EmulationResult ModifyUnary(int size, bool isIncrement, bool isDecrement)
    {
        ulong address = Address();
        if (!GuestOperand.TryRead(address, size, out ulong old))
        {
            return FetchFault.OfRead(_vcpu, address, size);
        }

        ulong value;
        if (isIncrement)
        {
            value = Arithmetic.Increment(old, size, ref _flags);
        }
        else if (isDecrement)
        {
            value = Arithmetic.Decrement(old, size, ref _flags);
        }
        else if (_instruction.OpcodeExtension == 2)
        {
            value = ~old & RegisterFile.Mask(size);
        }
        else
        {
            value = Arithmetic.Subtract(0, old, 0, size, ref _flags);
        }

        return Replace(address, size, old, value, _flags);
    }

    private EmulationResult ModifyBit(int size, int operation, bool hasOffsetInRegister)
    {
        int bits = size * BitsPerByte;
        long offset = hasOffsetInRegister ? SignedRegister(size) : _instruction.Immediate & (bits - 1);

        // The offset in a register counts from the operand's address, in both directions, in units of the operand's size.
        long unit = hasOffsetInRegister ? offset >> System.Numerics.BitOperations.Log2((uint)bits) : 0;
        ulong address = LinearAddress.OfOperand(ref _registers, _instruction, unchecked(unit * size));
        ulong bit = 1UL << (int)(offset & (bits - 1));
        if (!GuestOperand.TryRead(address, size, out ulong old))
        {
            return FetchFault.OfRead(_vcpu, address, size);
        }

        _flags = (old & bit) != 0 ? _flags | Arithmetic.Carry : _flags & ~Arithmetic.Carry;
        ulong value = operation == BitSet ? old | bit : operation == BitReset ? old & ~bit : old ^ bit;
        return Replace(address, size, old, value, _flags);
    }

    private readonly long SignedRegister(int size)
    {
        int unused = 64 - BitsPerByte * size;
        return unchecked((long)(RegisterFile.Get(ref _registers, _instruction.Register) << unused)) >> unused;
    }

    private readonly EmulationResult Exchange(int size)
    {
        ulong address = Address();
        ulong value = Register(_instruction.Register, size);
        if (Write(address, size, 0, value, isCompareExchange: false, out ulong seen) != PageTableWriteResult.Written)
        {
            return EmulationResult.NotHandled;
        }

        RegisterFile.Write(ref _registers, _instruction, _instruction.Register, size, seen);
        return Complete(_registers.Rflags);
    }

    private EmulationResult ExchangeAdd(int size)
    {
        ulong address = Address();
        if (!GuestOperand.TryRead(address, size, out ulong old))
        {
            return FetchFault.OfRead(_vcpu, address, size);
        }

        ulong value = Arithmetic.Add(old, Register(_instruction.Register, size), 0, size, ref _flags);
        switch (Write(address, size, old, value, isCompareExchange: true, out _))
        {
            case PageTableWriteResult.Written:
                RegisterFile.Write(ref _registers, _instruction, _instruction.Register, size, old);
                return Complete(_flags);
            case PageTableWriteResult.Different:
                return EmulationResult.Done;
            default:
                return EmulationResult.NotHandled;
        }
    }

    private EmulationResult CompareExchange(int size)
    {
        ulong accumulator = Register(RegisterFile.Accumulator, size);
        ulong value = Register(_instruction.Register, size);
        PageTableWriteResult result = Write(Address(), size, accumulator, value, isCompareExchange: true, out ulong seen);
        if (result is not (PageTableWriteResult.Written or PageTableWriteResult.Different))
        {
            return EmulationResult.NotHandled;
        }

        Arithmetic.Subtract(accumulator, seen, 0, size, ref _flags);
        if (result == PageTableWriteResult.Different)
        {
            RegisterFile.Write(ref _registers, _instruction, RegisterFile.Accumulator, size, seen);
        }

        return Complete(_flags);
    }

    private EmulationResult CompareExchange8()
    {
        ulong expected = (uint)_registers.Rax | (_registers.Rdx << 32);
        ulong value = (uint)_registers.Rbx | (_registers.Rcx << 32);
        switch (Write(Address(), 8, expected, value, isCompareExchange: true, out ulong seen))
        {
            case PageTableWriteResult.Written:
                return Complete(_flags | Arithmetic.Zero);
            case PageTableWriteResult.Different:
                _registers.Rax = (uint)seen;
                _registers.Rdx = seen >> 32;
                return Complete(_flags & ~Arithmetic.Zero);
            default:
                return EmulationResult.NotHandled;
        }
    }

    private readonly EmulationResult MoveString(int size)
    {
        ulong source = AddressOfSegment(_registers.Rsi);
        return GuestOperand.TryRead(source, size, out ulong value)
            ? StoreString(size, value)
            : FetchFault.OfRead(_vcpu, source, size);
    }

    // One element at a time: the next one faults again if it is for a page table too.
    private readonly EmulationResult StoreString(int size, ulong value)
    {
        bool repeats = _instruction.Repeat || _instruction.RepeatNotEqual;
        ulong count = LinearAddress.Truncate(_instruction, _registers.Rcx);
        ulong address = LinearAddress.Truncate(_instruction, _registers.Rdi);
        if (_instruction.Lock || (repeats && count == 0)
            || Write(address, size, 0, value, isCompareExchange: false, out _) != PageTableWriteResult.Written)
        {
            return EmulationResult.NotHandled;
        }

        ulong change = (_registers.Rflags & DirectionFlag) != 0 ? unchecked(0UL - (uint)size) : (uint)size;
        _registers.Rdi = LinearAddress.Truncate(_instruction, unchecked(_registers.Rdi + change));
        if (_instruction.Opcode is 0xa4 or 0xa5)
        {
            _registers.Rsi = LinearAddress.Truncate(_instruction, unchecked(_registers.Rsi + change));
        }

        if (!repeats)
        {
            return Complete(_registers.Rflags);
        }

        _registers.Rcx = LinearAddress.Truncate(_instruction, unchecked(_registers.Rcx - 1));
        return _registers.Rcx == 0 ? Complete(_registers.Rflags) : EmulationResult.Done;
    }
}
