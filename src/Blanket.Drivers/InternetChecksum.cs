using System;
using System.Buffers.Binary;
using Blanket.Machine;

namespace Blanket.Drivers;

/// <summary>The Internet checksum (RFC 1071) over bytes that come in pieces of any length.</summary>
public struct InternetChecksum
{
    // Of words with their bytes swapped, as they lie in memory: that is the swapped sum (RFC 1071, 2 (B)).
    private ulong _sum;
    private bool _isOdd;

    /// <summary>Adds the bytes that come next.</summary>
    public void Add(ReadOnlySpan<byte> bytes)
    {
        if (_isOdd)
        {
            // All of them are in the other half of their words.
            _sum = OnesComplement.Add(_sum, BinaryPrimitives.ReverseEndianness(OnesComplement.Fold(OnesComplement.Add(0, bytes))));
        }
        else
        {
            _sum = OnesComplement.Add(_sum, bytes);
        }

        _isOdd ^= (bytes.Length & 1) != 0;
    }

    /// <summary>Adds a 16-bit word between pieces of even length.</summary>
    public void AddWord(ushort word) => _sum = OnesComplement.Add(_sum, BinaryPrimitives.ReverseEndianness(word));

    /// <summary>The sum in 16 bits with end-around carry, not complemented: what a pseudo-header leaves in a checksum field.</summary>
    public readonly ushort Fold() => BinaryPrimitives.ReverseEndianness(OnesComplement.Fold(_sum));

    /// <summary>The checksum: the complement of the sum.</summary>
    public readonly ushort Complement() => (ushort)~Fold();
}
