using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Bench.Profile;

/// <summary>Executed instructions by address, as the plugin <c>profile.c</c> leaves them in its file.</summary>
/// <param name="Counts">Instructions by the address of the translated block that they were in.</param>
/// <param name="Flushes">How often the TLB was emptied by the address of the instruction that did.</param>
public sealed record InstructionProfile(IReadOnlyDictionary<ulong, ulong> Counts, IReadOnlyDictionary<ulong, ulong> Flushes)
{
    /// <summary>Words before the records of the plugin's file.</summary>
    internal const int HeaderWords = 2;

    /// <summary>Words of a record.</summary>
    internal const int BlockWords = 3;

    /// <summary>Compiles the plugin.</summary>
    /// <param name="directory">Where to.</param>
    /// <param name="cancellation">Stops the compiler.</param>
    /// <returns>Its path.</returns>
    /// <exception cref="HostException">The compiler failed.</exception>
    public static async Task<string> CompilePluginAsync(string directory, CancellationToken cancellation)
    {
        string plugin = Path.Combine(directory, "profile.so");
        string[] options = ["-shared", "-fPIC", "-O2", "-fvisibility=hidden", "-x", "c", "-o", plugin, "-"];
        await Tool.RequireAsync("gcc", options, BenchResource.Read("profile.c"), cancellation: cancellation).ConfigureAwait(false);
        return plugin;
    }

    /// <summary>Reads the plugin's file.</summary>
    /// <exception cref="HostException">The guest never reached the end of what was to be counted.</exception>
    public static InstructionProfile Read(string path)
    {
        using FileStream stream = File.OpenRead(path);
        ulong[] header = new ulong[HeaderWords];
        stream.ReadExactly(MemoryMarshal.AsBytes(header.AsSpan()));
        if (header[1] == 0)
        {
            throw new HostException("nothing was counted: the guest did not get to the end of the row");
        }

        ulong[] words = new ulong[header[0] * BlockWords];
        stream.ReadExactly(MemoryMarshal.AsBytes(words.AsSpan()));
        Dictionary<ulong, ulong> counts = [];
        Dictionary<ulong, ulong> flushes = [];
        foreach (ulong[] block in words.Chunk(BlockWords).Where(block => block[2] != 0))
        {
            Dictionary<ulong, ulong> target = block[1] == 0 ? flushes : counts;
            target[block[0]] = target.GetValueOrDefault(block[0]) + block[2];
        }

        return new InstructionProfile(counts, flushes);
    }

    /// <summary>Sums up by function, the largest count first.</summary>
    /// <param name="counts"><see cref="Counts"/> or <see cref="Flushes"/>.</param>
    /// <param name="symbols">Functions' names by address, of everything that ran.</param>
    public static IReadOnlyList<(string Function, ulong Count)> ByFunction(
        IReadOnlyDictionary<ulong, ulong> counts, IReadOnlyDictionary<ulong, string> symbols)
    {
        ulong[] addresses = [.. symbols.Keys.Order()];
        return
        [
            .. counts.GroupBy(count => Name(count.Key), count => count.Value)
                .Select(group => (group.Key, group.Aggregate(0UL, (sum, value) => sum + value)))
                .OrderByDescending(row => row.Item2),
        ];

        string Name(ulong address)
        {
            int index = Array.BinarySearch(addresses, address);
            index = index < 0 ? ~index - 1 : index;
            return index < 0 ? "user mode" : symbols[addresses[index]];
        }
    }
}
