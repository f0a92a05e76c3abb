using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>One log line under construction, on the stack; longer text is cut at <see cref="Capacity"/> bytes.</summary>
public struct LogLine
{
    /// <summary>The most bytes of a line, without its end.</summary>
    public const int Capacity = 230;

    [InlineArray(Capacity + 2)]
    private struct Buffer
    {
        private byte _first;
    }

    private Buffer _buffer;
    private int _length;

    private void Put(byte value)
    {
        if (_length < Capacity)
        {
            _buffer[_length++] = value;
        }
    }

    /// <summary>Appends trusted text.</summary>
    [UnscopedRef]
    public ref LogLine Text(scoped ReadOnlySpan<byte> text)
    {
        foreach (byte value in text)
        {
            Put(value);
        }

        return ref this;
    }

    /// <summary>Appends untrusted bytes in quotes; anything but printable ASCII becomes \xHH.</summary>
    [UnscopedRef]
    public ref LogLine Quoted(scoped ReadOnlySpan<byte> text)
    {
        Put((byte)'"');
        foreach (byte value in text)
        {
            if (value >= 0x20 && value < 0x7f && value != '"' && value != '\\')
            {
                Put(value);
            }
            else
            {
                Put((byte)'\\');
                Put((byte)'x');
                Put(Digit(value >> 4));
                Put(Digit(value & 15));
            }
        }

        Put((byte)'"');
        return ref this;
    }

    /// <summary>Appends an unsigned number in decimal.</summary>
    [UnscopedRef]
    public ref LogLine Decimal(ulong value)
    {
        Span<byte> digits = stackalloc byte[20];
        int start = digits.Length;
        do
        {
            digits[--start] = (byte)('0' + (int)(value % 10));
            value /= 10;
        }
        while (value != 0);

        return ref Text(digits.Slice(start));
    }

    /// <summary>Appends a signed number in decimal (errno values).</summary>
    [UnscopedRef]
    public ref LogLine Signed(long value)
    {
        if (value < 0)
        {
            Put((byte)'-');
            return ref Decimal(unchecked((ulong)-value));
        }

        return ref Decimal((ulong)value);
    }

    /// <summary>Appends a number in hexadecimal with 0x in front.</summary>
    [UnscopedRef]
    public ref LogLine Hex(ulong value)
    {
        Put((byte)'0');
        Put((byte)'x');
        int shift = 60;
        while (shift > 0 && value >> shift == 0)
        {
            shift -= 4;
        }

        for (; shift >= 0; shift -= 4)
        {
            Put(Digit((int)(value >> shift) & 15));
        }

        return ref this;
    }

    /// <summary>Ends the line and writes it.</summary>
    public void End()
    {
        _buffer[_length] = (byte)'\r';
        _buffer[_length + 1] = (byte)'\n';
        Log.Emit(((Span<byte>)_buffer).Slice(0, _length + 2));
    }

    private static byte Digit(int value) => (byte)(value < 10 ? '0' + value : 'a' + value - 10);
}
