using System;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>The boot bundle's text of options: words between spaces, as on a kernel's command line.</summary>
internal static class BootOptions
{
    private const ulong MaximumNumber = uint.MaxValue;

    /// <summary>Whether a word is among them.</summary>
    internal static bool Has(ReadOnlySpan<byte> options, ReadOnlySpan<byte> word)
    {
        while (TryTake(ref options, out ReadOnlySpan<byte> next))
        {
            if (next.SequenceEqual(word))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The decimal value of the first word KEY=VALUE; 0 when there is none, or it is no number.</summary>
    /// <param name="options">The options.</param>
    /// <param name="key">With the equals sign.</param>
    internal static ulong Number(ReadOnlySpan<byte> options, ReadOnlySpan<byte> key)
    {
        while (TryTake(ref options, out ReadOnlySpan<byte> next))
        {
            if (next.StartsWith(key))
            {
                return DecimalNumber.TryParse(next.Slice(key.Length), MaximumNumber, out ulong value) ? value : 0;
            }
        }

        return 0;
    }

    private static bool TryTake(ref ReadOnlySpan<byte> options, out ReadOnlySpan<byte> word)
    {
        int end = options.IndexOf((byte)' ');
        word = end < 0 ? options : options.Slice(0, end);
        bool found = !options.IsEmpty;
        options = end < 0 ? default : options.Slice(end + 1);
        return found;
    }
}
