using System;

namespace Blanket.Machine;

/// <summary>
/// Puts paths, values and tokens together in a caller's buffer, without strings. What does not fit is left out
/// and sets <see cref="Overflowed"/>; <see cref="Text"/> is then empty, which no request takes for a path.
/// </summary>
public ref struct PathBuilder
{
    /// <summary>Bytes of the longest decimal number, 2^64 - 1.</summary>
    public const int DecimalMax = 20;

    private readonly Span<byte> _buffer;
    private int _length;

    /// <summary>An empty text in <paramref name="buffer"/>.</summary>
    public PathBuilder(Span<byte> buffer)
    {
        _buffer = buffer;
        _length = 0;
        Overflowed = false;
    }

    /// <summary>Whether something did not fit.</summary>
    public bool Overflowed { get; private set; }

    /// <summary>Bytes so far; give it to <see cref="Truncate"/> to go back to this point.</summary>
    public readonly int Length => _length;

    /// <summary>The text so far.</summary>
    public readonly ReadOnlySpan<byte> Text => Overflowed ? default : _buffer[.._length];

    /// <summary>Drops everything after the first <paramref name="length"/> bytes, at most <see cref="Length"/>.</summary>
    public void Truncate(int length) => _length = Math.Min(length, _length);

    /// <summary>Adds bytes as they are.</summary>
    public void Append(scoped ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _buffer.Length - _length)
        {
            Overflowed = true;
            return;
        }

        bytes.CopyTo(_buffer[_length..]);
        _length += bytes.Length;
    }

    /// <summary>Adds a single byte.</summary>
    public void Append(byte value)
    {
        if (_length == _buffer.Length)
        {
            Overflowed = true;
            return;
        }

        _buffer[_length] = value;
        _length++;
    }

    /// <summary>Adds a slash and a name.</summary>
    public void AppendName(scoped ReadOnlySpan<byte> name)
    {
        Append((byte)'/');
        Append(name);
    }

    /// <summary>Adds a slash and a decimal number.</summary>
    public void AppendName(ulong number)
    {
        Append((byte)'/');
        AppendDecimal(number);
    }

    /// <summary>Adds a decimal number without leading zeros.</summary>
    public void AppendDecimal(ulong number)
    {
        ulong divisor = 1;
        while (number / divisor >= 10)
        {
            divisor *= 10;
        }

        for (; divisor > 0; divisor /= 10)
        {
            Append((byte)('0' + number / divisor % 10));
        }
    }

    /// <summary>Adds a lower-case hexadecimal number without prefix, with at least <paramref name="minimumDigits"/> digits.</summary>
    public void AppendHex(ulong number, int minimumDigits = 1)
    {
        for (int digit = 15; digit >= 0; digit--)
        {
            int value = (int)((number >> (digit * 4)) & 15);
            if (value != 0 || digit < minimumDigits || digit == 0)
            {
                minimumDigits = 16;
                Append((byte)(value < 10 ? '0' + value : 'a' + value - 10));
            }
        }
    }

    /// <summary>Adds a domain's home, /local/domain/<paramref name="domid"/>.</summary>
    public void AppendHome(ushort domid)
    {
        Append("/local/domain"u8);
        AppendName(domid);
    }
}
