using System.Runtime.CompilerServices;

namespace System;

#pragma warning disable CS0649, CS0169 // the compiler knows these fields' meaning

public struct Void { }

public readonly struct Boolean { private readonly bool _value; }

public readonly struct Char { private readonly char _value; public const char MaxValue = '\uffff'; }

public readonly struct SByte { private readonly sbyte _value; public const sbyte MaxValue = 127; public const sbyte MinValue = -128; }

public readonly struct Byte { private readonly byte _value; public const byte MaxValue = 255; public const byte MinValue = 0; }

public readonly struct Int16 { private readonly short _value; public const short MaxValue = 0x7fff; public const short MinValue = -0x8000; }

public readonly struct UInt16 { private readonly ushort _value; public const ushort MaxValue = 0xffff; public const ushort MinValue = 0; }

public readonly struct Int32 { private readonly int _value; public const int MaxValue = 0x7fffffff; public const int MinValue = -0x7fffffff - 1; }

public readonly struct UInt32 { private readonly uint _value; public const uint MaxValue = 0xffffffff; public const uint MinValue = 0; }

public readonly struct Int64 { private readonly long _value; public const long MaxValue = 0x7fffffffffffffff; public const long MinValue = -0x7fffffffffffffff - 1; }

public readonly struct UInt64 { private readonly ulong _value; public const ulong MaxValue = 0xffffffffffffffff; public const ulong MinValue = 0; }

public readonly struct Single { private readonly float _value; }

public readonly struct Double { private readonly double _value; }

public readonly unsafe struct IntPtr
{
    private readonly void* _value;

    public static readonly nint Zero;

    public static int Size => 8;
}

public readonly unsafe struct UIntPtr
{
    private readonly void* _value;

    public static readonly nuint Zero;

    public static int Size => 8;
}

public abstract class ValueType { }

public abstract class Enum : ValueType { }

public struct Nullable<T> where T : struct
{
    private readonly bool _hasValue;
    private T _value;

    public Nullable(T value)
    {
        _value = value;
        _hasValue = true;
    }

    public readonly bool HasValue => _hasValue;

    public readonly T Value
    {
        get
        {
            if (!_hasValue)
            {
                ThrowHelper.Abandon();
            }

            return _value;
        }
    }

    public readonly T GetValueOrDefault() => _value;
}

public struct RuntimeTypeHandle { private nint _value; }

public struct RuntimeMethodHandle { private nint _value; }

public struct RuntimeFieldHandle { private nint _value; }

public abstract class Delegate { }

public abstract class MulticastDelegate : Delegate { }

public class Exception { }

public abstract class Type { }

public interface IDisposable
{
    void Dispose();
}

public interface IEquatable<T>
{
    bool Equals(T other);
}

/// <summary>Tuples of values, for methods with two results.</summary>
public struct ValueTuple<T1, T2>(T1 item1, T2 item2)
{
    public T1 Item1 = item1;
    public T2 Item2 = item2;
}

public struct ValueTuple<T1, T2, T3>(T1 item1, T2 item2, T3 item3)
{
    public T1 Item1 = item1;
    public T2 Item2 = item2;
    public T3 Item3 = item3;
}

public static class Math
{
    public static int Min(int a, int b) => a < b ? a : b;

    public static uint Min(uint a, uint b) => a < b ? a : b;

    public static long Min(long a, long b) => a < b ? a : b;

    public static ulong Min(ulong a, ulong b) => a < b ? a : b;

    public static int Max(int a, int b) => a > b ? a : b;

    public static uint Max(uint a, uint b) => a > b ? a : b;

    public static long Max(long a, long b) => a > b ? a : b;

    public static ulong Max(ulong a, ulong b) => a > b ? a : b;

    public static int Clamp(int value, int minimum, int maximum) => value < minimum ? minimum : value > maximum ? maximum : value;

    public static uint Clamp(uint value, uint minimum, uint maximum) => value < minimum ? minimum : value > maximum ? maximum : value;

    public static ulong Clamp(ulong value, ulong minimum, ulong maximum) => value < minimum ? minimum : value > maximum ? maximum : value;

    /// <summary>The high 64 bits of the 128-bit product.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong BigMul(ulong a, ulong b, out ulong low)
    {
        // Four 32-bit products: no 128-bit type is needed at run time.
        ulong aLow = (uint)a, aHigh = a >> 32, bLow = (uint)b, bHigh = b >> 32;
        ulong lowLow = aLow * bLow;
        ulong middle = unchecked(aHigh * bLow + (lowLow >> 32));
        ulong middleLow = unchecked(aLow * bHigh + (uint)middle);
        low = unchecked(a * b);
        return unchecked(aHigh * bHigh + (middle >> 32) + (middleLow >> 32));
    }
}
