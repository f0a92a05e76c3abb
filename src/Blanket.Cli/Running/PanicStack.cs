using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Cli.Running;

/// <summary>The addresses of a panic's stack in Blanket's log, and what they are in the source.</summary>
internal sealed partial class PanicStack
{
    /// <summary>A broken stack may print addresses without end.</summary>
    private const int MaximumDepth = 64;

    private readonly List<ulong> _addresses = [];

    /// <summary>Takes a line of the log into account.</summary>
    internal void Add(string line)
    {
        Match match = Frame().Match(line);
        if (match.Success && _addresses.Count < MaximumDepth)
        {
            _addresses.Add(ulong.Parse(match.Groups["address"].Value, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
        }
    }

    /// <summary>One line for each address: the function, the file and the line.</summary>
    /// <param name="image">The image with debugging information.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">addr2line is missing or failed.</exception>
    internal async Task<IReadOnlyList<string>> DescribeAsync(string image, CancellationToken cancellation)
    {
        if (_addresses.Count == 0)
        {
            return [];
        }

        // All but the first are return addresses: the call is before them.
        IEnumerable<string> places = _addresses.Select((address, depth) => (address - (depth == 0 ? 0u : 1u)).ToString("x", CultureInfo.InvariantCulture));
        ToolResult result = await Tool.RequireAsync("addr2line", ["-f", "-s", "-e", image, .. places], cancellation: cancellation).ConfigureAwait(false);
        string[] lines = result.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return [.. lines.Chunk(2).Select(pair => $"{Readable(pair[0])} ({pair[^1]})")];
    }

    /// <summary>Turns <c>Blanket_Core_Blanket_Core_Grants_GrantTable__Map</c> into <c>Blanket.Core.Grants.GrantTable.Map</c>.</summary>
    internal static string Readable(string symbol)
    {
        Match match = Mangled().Match(symbol);
        return match.Success ? $"{match.Groups["type"].Value.Replace('_', '.')}.{match.Groups["method"].Value}" : symbol;
    }

    [GeneratedRegex("^blanket: +at 0x(?<address>[0-9a-f]{1,16})\\b", RegexOptions.CultureInvariant)]
    private static partial Regex Frame();

    /// <summary>The compiler writes assembly, namespace and type with underscores, then two of them and the method.</summary>
    [GeneratedRegex("^(?<assembly>[A-Za-z0-9]+_[A-Za-z0-9]+)_(?<type>\\k<assembly>_.+?)__(?<method>.+)$", RegexOptions.CultureInvariant)]
    private static partial Regex Mangled();
}
