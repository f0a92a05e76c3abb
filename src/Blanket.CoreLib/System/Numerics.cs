using System.Runtime.CompilerServices;

namespace System.Numerics;

/// <summary>Bit counting; each is one instruction of x86-64-v2 or a short sequence.</summary>
public static class BitOperations
{
    [Intrinsic]
    public static int LeadingZeroCount(uint value) => LeadingZeroCount(value);

    [Intrinsic]
    public static int LeadingZeroCount(ulong value) => LeadingZeroCount(value);

    [Intrinsic]
    public static int TrailingZeroCount(uint value) => TrailingZeroCount(value);

    [Intrinsic]
    public static int TrailingZeroCount(ulong value) => TrailingZeroCount(value);

    [Intrinsic]
    public static int PopCount(uint value) => PopCount(value);

    [Intrinsic]
    public static int PopCount(ulong value) => PopCount(value);

    [Intrinsic]
    public static uint RotateLeft(uint value, int offset) => (value << offset) | (value >> (32 - offset));

    [Intrinsic]
    public static ulong RotateLeft(ulong value, int offset) => (value << offset) | (value >> (64 - offset));

    public static int Log2(uint value) => 31 ^ LeadingZeroCount(value | 1);

    public static int Log2(ulong value) => 63 ^ LeadingZeroCount(value | 1);

    public static bool IsPow2(uint value) => (value & (value - 1)) == 0 && value != 0;

    public static bool IsPow2(ulong value) => (value & (value - 1)) == 0 && value != 0;
}
