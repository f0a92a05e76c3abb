using System;
using System.Buffers.Binary;

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

        while (bytes.Length >= 8)
        {
            ulong value = BinaryPrimitives.ReadUInt64BigEndian(bytes);
            _sum += (value >> 32) + (uint)value;
            bytes = bytes.Slice(8);
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
    public readonly ushort Fold()
    {
        ulong sum = _sum;
        while (sum > 0xffff)
        {
            sum = (sum >> 16) + (sum & 0xffff);
        }

        return (ushort)sum;
    }

    /// <summary>The checksum: the complement of the sum.</summary>
    public readonly ushort Complement() => (ushort)~Fold();
}
