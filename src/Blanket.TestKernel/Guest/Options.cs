using System;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Words KEY=VALUE of the command line.</summary>
internal static unsafe class Options
{
    /// <summary>The value of a key; empty when it is not there.</summary>
    internal static ReadOnlySpan<byte> Value(ReadOnlySpan<byte> key)
    {
        ReadOnlySpan<byte> line = Line();
        while (line.Length > 0)
        {
            int end = line.IndexOf((byte)' ');
            ReadOnlySpan<byte> word = end < 0 ? line : line.Slice(0, end);
            line = end < 0 ? default : line.Slice(end + 1);
            if (word.Length > key.Length && word[key.Length] == '=' && word.StartsWith(key))
            {
                return word.Slice(key.Length + 1);
            }
        }

        return default;
    }

    /// <summary>The decimal value of a key.</summary>
    internal static ulong Number(ReadOnlySpan<byte> key, ulong otherwise)
    {
        ReadOnlySpan<byte> text = Value(key);
        if (text.Length == 0)
        {
            return otherwise;
        }

        ulong value = 0;
        for (int i = 0; i < text.Length && text[i] is >= (byte)'0' and <= (byte)'9'; i++)
        {
            value = unchecked(value * 10 + (ulong)(text[i] - '0'));
        }

        return value;
    }

    private static ReadOnlySpan<byte> Line()
    {
        fixed (byte* text = &Domain.Start.CommandLine[0])
        {
            ReadOnlySpan<byte> all = new(text, StartInfoCommandLine.Size);
            int end = all.IndexOf((byte)0);
            return end < 0 ? all : all.Slice(0, end);
        }
    }
}
