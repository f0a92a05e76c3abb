using System;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

namespace Blanket.Lab.Configuration;

/// <summary>An Ethernet address.</summary>
public readonly struct MacAddress : IEquatable<MacAddress>
{
    private const ulong GroupBit = 1UL << 40;
    private readonly ulong _value;

    private MacAddress(ulong value) => _value = value;

    /// <summary>Whether the address can be that of one station: not zero, not a group.</summary>
    public bool IsUnicast => _value != 0 && (_value & GroupBit) == 0;

    /// <summary>The six bytes in transmission order.</summary>
    public byte[] ToBytes() => [.. Enumerable.Range(0, 6).Select(ByteAt)];

    /// <summary>Reads six groups of two hexadecimal digits separated by colons; null when the text is something else.</summary>
    public static MacAddress? TryParse(string text)
    {
        string[] groups = text.Split(':');
        if (groups.Length != 6 || groups.Any(group => group.Length != 2))
        {
            return null;
        }

        return ulong.TryParse(string.Concat(groups), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value)
            ? new MacAddress(value)
            : null;
    }

    /// <summary>An address under Xen's OUI 00:16:3e that stays the same for the same <paramref name="seed"/>.</summary>
    public static MacAddress FromSeed(string seed)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(seed));
        return new MacAddress(0x00163E000000UL | ((ulong)hash[0] << 16) | ((ulong)hash[1] << 8) | hash[2]);
    }

    /// <inheritdoc/>
    public bool Equals(MacAddress other) => _value == other._value;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is MacAddress other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _value.GetHashCode();

    /// <inheritdoc/>
    public override string ToString() =>
        string.Join(':', ToBytes().Select(part => part.ToString("x2", CultureInfo.InvariantCulture)));

    private byte ByteAt(int index) => (byte)(_value >> (40 - (8 * index)));
}
