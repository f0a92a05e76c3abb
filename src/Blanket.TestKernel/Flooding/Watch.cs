using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Blanket.TestKernel;

/// <summary>A guest that looks at the clock all the time, and so sees when it did not run.</summary>
internal static class Watch
{
    // Longer than a few interrupts, shorter than any time slice. Ticks of the TSC.
    private const ulong ShortestWait = 100_000;

    /// <summary>Until the next line, whose length it returns; says how long the longest wait was, and all of them together.</summary>
    internal static int Run(Span<byte> line)
    {
        ulong longest = 0;
        ulong all = 0;
        ulong before = ReadTimeStamp();
        int length;
        while (!Input.TryReadLine(line, out length))
        {
            ulong now = ReadTimeStamp();
            ulong wait = unchecked(now - before);
            before = now;
            if (wait >= ShortestWait)
            {
                longest = wait > longest ? wait : longest;
                all = unchecked(all + wait);
            }
        }

        Output.Text("watch: longest wait "u8);
        Output.Number((long)longest);
        Output.Text(" of "u8);
        Output.Number((long)all);
        Output.Line(" ticks"u8);
        return length;
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "read_time_stamp")]
    private static extern ulong ReadTimeStamp();
}
