using System;

namespace Blanket.Machine;

/// <summary>Decimal numbers as the store's clients write them.</summary>
public static class DecimalNumber
{
    /// <summary>
    /// Reads an unsigned decimal number: digits only, at least one. False when there is anything else
    /// or the number is above <paramref name="maximum"/>.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, ulong maximum, out ulong number)
    {
        number = 0;
        for (int i = 0; i < text.Length; i++)
        {
            ulong digit = unchecked((ulong)text[i] - (byte)'0');
            if (digit > 9 || digit > maximum || number > (maximum - digit) / 10)
            {
                number = 0;
                return false;
            }

            number = number * 10 + digit;
        }

        return !text.IsEmpty;
    }

    /// <summary>Reads a domain identifier, 0..65535.</summary>
    public static bool TryParseDomid(ReadOnlySpan<byte> text, out ushort domid)
    {
        bool valid = TryParse(text, ushort.MaxValue, out ulong number);
        domid = (ushort)number;
        return valid;
    }
}
