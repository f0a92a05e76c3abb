using System;
using System.IO;
using System.Runtime.InteropServices;

namespace Blanket.Lab.Bench.Profile;

/// <summary>How many instructions a machine with the plugin <c>profile.c</c> has executed up to now, all CPUs together.</summary>
/// <param name="path">The plugin's file, which is there once the machine runs.</param>
public sealed class InstructionCounts(string path)
{
    private const int MaximumBlocks = 1 << 22;
    private const int InstructionsOfBlock = 1;

    /// <summary>Adds up the counts of all blocks, while they go on.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public ulong Read()
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        int count = (int)Math.Min(ReadWords(stream, 0, 1)[0], MaximumBlocks);
        ulong[] blocks = ReadWords(stream, InstructionProfile.HeaderWords, count * InstructionProfile.BlockWords);
        ulong[] running = ReadWords(stream, InstructionProfile.HeaderWords + (MaximumBlocks * InstructionProfile.BlockWords), count);
        ulong sum = 0;
        for (int i = 0; i < count; i++)
        {
            // Others are of instructions that empty the TLB, and part of a block that is counted.
            bool isBlock = blocks[(i * InstructionProfile.BlockWords) + InstructionsOfBlock] != 0;
            sum += isBlock ? running[i] : 0;
        }

        return sum;
    }

    private static ulong[] ReadWords(FileStream stream, long word, int count)
    {
        ulong[] words = new ulong[count];
        stream.Position = word * sizeof(ulong);
        stream.ReadExactly(MemoryMarshal.AsBytes(words.AsSpan()));
        return words;
    }
}
