using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Blanket.Lab.StockXen;

/// <summary>The consoles that share one line, told apart by <c>RS number US</c> (docs/platform.md, "Consoles on one line").</summary>
public static class ConsoleLine
{
    /// <summary>Starts a sequence that names a port (ASCII's record separator).</summary>
    public const byte Start = 0x1e;

    /// <summary>Ends it (ASCII's unit separator).</summary>
    public const byte End = 0x1f;

    /// <summary>The most digits of a port's number.</summary>
    public const int MaximumDigits = 5;

    private const byte Replacement = (byte)'?';

    /// <summary>Bytes for a port with the sequence before them; bytes that sequences are made of are replaced.</summary>
    public static byte[] Frame(uint port, ReadOnlySpan<byte> bytes)
    {
        byte[] number = Encoding.ASCII.GetBytes(port.ToString(CultureInfo.InvariantCulture));
        List<byte> framed = [Start, .. number, End];
        foreach (byte value in bytes)
        {
            framed.Add(value is Start or End ? Replacement : value);
        }

        return [.. framed];
    }
}
