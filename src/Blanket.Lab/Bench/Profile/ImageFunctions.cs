using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Bench.Profile;

/// <summary>The functions of blanket.elf.</summary>
public static class ImageFunctions
{
    /// <summary>Adds them by address, their names marked as Blanket's.</summary>
    /// <exception cref="HostException">nm is missing or failed.</exception>
    public static async Task AddAsync(string image, IDictionary<ulong, string> symbols, CancellationToken cancellation)
    {
        ToolResult result = await Tool.RequireAsync("nm", [image], cancellation: cancellation).ConfigureAwait(false);
        foreach (string line in result.Text.Split('\n'))
        {
            string[] words = line.Split(' ', 3);
            if (words.Length == 3 && words[1] is "T" or "t"
                && ulong.TryParse(words[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong address))
            {
                symbols[address] = "blanket: " + words[2].Trim();
            }
        }
    }
}
