using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Blanket.Drivers;

/// <summary>The Internet checksum (RFC 1071) over bytes that come in pieces of any length.</summary>
public struct InternetChecksum
{
    private ulong _sum;
    private bool _isOdd;

    /// <summary>Adds the bytes that come next.</summary>
    public void Add(ReadOnlySpan<byte> bytes)
    {
        if (_isOdd && !bytes.IsEmpty)
        {
            // The second byte of a word whose first byte ended the last piece.
            AddWord(bytes[0]);
            bytes = bytes.Slice(1);
            _isOdd = false;
        }

        // The sum of words with their bytes swapped is the swapped sum (RFC 1071, 2 (B)): words are added as they lie.
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        if (!words.IsEmpty)
        {
            AddWord(BinaryPrimitives.ReverseEndianness(Fold(Sum(words))));
            bytes = bytes.Slice(words.Length * sizeof(ulong));
        }

        for (; bytes.Length >= 2; bytes = bytes.Slice(2))
        {
            AddWord(BinaryPrimitives.ReadUInt16BigEndian(bytes));
        }

        if (!bytes.IsEmpty)
        {
            AddWord((uint)bytes[0] << 8);
            _isOdd = true;
        }
    }

    /// <summary>Adds a 16-bit word between pieces of even length.</summary>
    public void AddWord(uint word) => _sum += word;

    /// <summary>The sum in 16 bits with end-around carry, not complemented: what a pseudo-header leaves in a checksum field.</summary>
    public readonly ushort Fold() => Fold(_sum);

    /// <summary>The checksum: the complement of the sum.</summary>
    public readonly ushort Complement() => (ushort)~Fold();

    private static ulong Sum(ReadOnlySpan<ulong> words)
    {
        ulong high = 0;
        ulong low = 0;
        for (int i = 0; i < words.Length; i++)
        {
            ulong word = words[i];
            high += word >> 32;
            low += (uint)word;
        }

        return Fold(high) + (ulong)Fold(low);
    }

    private static ushort Fold(ulong sum)
    {
        while (sum > 0xffff)
        {
            sum = (sum >> 16) + (sum & 0xffff);
        }

        return (ushort)sum;
    }
}
