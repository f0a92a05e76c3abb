using System.Numerics;

namespace Blanket.Core.Emulation;

/// <summary>Integer operations with their flags (Intel SDM vol. 1, 3.4.3.1). Operands hold no bits above their size.</summary>
internal static class Arithmetic
{
    internal const ulong Carry = 1 << 0;
    internal const ulong Parity = 1 << 2;
    internal const ulong Adjust = 1 << 4;
    internal const ulong Zero = 1 << 6;
    internal const ulong Sign = 1 << 7;
    internal const ulong Overflow = 1 << 11;

    private const ulong All = Carry | Parity | Adjust | Zero | Sign | Overflow;

    /// <summary>ADD, and ADC with a carry of 1.</summary>
    internal static ulong Add(ulong left, ulong right, ulong carry, int size, ref ulong flags)
    {
        ulong mask = RegisterFile.Mask(size);
        ulong result = unchecked(left + right + carry) & mask;
        bool carryOut = result < left || (carry != 0 && result == left);
        SetAll(ref flags, result, size, carryOut, left ^ right ^ result, (left ^ result) & (right ^ result));
        return result;
    }

    /// <summary>SUB and CMP, and SBB with a borrow of 1.</summary>
    internal static ulong Subtract(ulong left, ulong right, ulong borrow, int size, ref ulong flags)
    {
        ulong mask = RegisterFile.Mask(size);
        ulong result = unchecked(left - right - borrow) & mask;
        bool borrowOut = left < right || (borrow != 0 && left == right);
        SetAll(ref flags, result, size, borrowOut, left ^ right ^ result, (left ^ right) & (left ^ result));
        return result;
    }

    /// <summary>INC: the carry flag stays.</summary>
    internal static ulong Increment(ulong value, int size, ref ulong flags)
    {
        ulong carry = flags & Carry;
        ulong result = Add(value, 1, 0, size, ref flags);
        flags = (flags & ~Carry) | carry;
        return result;
    }

    /// <summary>DEC: the carry flag stays.</summary>
    internal static ulong Decrement(ulong value, int size, ref ulong flags)
    {
        ulong carry = flags & Carry;
        ulong result = Subtract(value, 1, 0, size, ref flags);
        flags = (flags & ~Carry) | carry;
        return result;
    }

    /// <summary>Flags of AND, OR and XOR: carry and overflow are 0, and so is adjust, which is undefined.</summary>
    internal static void SetLogic(ulong result, int size, ref ulong flags) => SetAll(ref flags, result, size, false, 0, 0);

    private static void SetAll(ref ulong flags, ulong result, int size, bool carry, ulong adjust, ulong overflow)
    {
        ulong top = 1UL << (8 * size - 1);
        flags &= ~All;
        flags |= carry ? Carry : 0;
        flags |= (BitOperations.PopCount(result & 0xff) & 1) == 0 ? Parity : 0;
        flags |= (adjust & 0x10) != 0 ? Adjust : 0;
        flags |= result == 0 ? Zero : 0;
        flags |= (result & top) != 0 ? Sign : 0;
        flags |= (overflow & top) != 0 ? Overflow : 0;
    }
}
