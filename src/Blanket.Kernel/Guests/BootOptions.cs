using System;

namespace Blanket.Kernel.Guests;

/// <summary>The boot bundle's text of options: words between spaces, as on a kernel's command line.</summary>
internal static class BootOptions
{
    /// <summary>Whether a word is among them.</summary>
    internal static bool Has(ReadOnlySpan<byte> options, ReadOnlySpan<byte> word)
    {
        while (!options.IsEmpty)
        {
            int end = options.IndexOf((byte)' ');
            ReadOnlySpan<byte> next = end < 0 ? options : options.Slice(0, end);
            if (next.SequenceEqual(word))
            {
                return true;
            }

            options = end < 0 ? default : options.Slice(end + 1);
        }

        return false;
    }
}
