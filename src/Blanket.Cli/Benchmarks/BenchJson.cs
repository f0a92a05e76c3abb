using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using Blanket.Lab.Bench;

namespace Blanket.Cli.Benchmarks;

/// <summary>Writes results for programs.</summary>
internal static class BenchJson
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true };

    /// <summary>An array of objects with name, unit, native, the rival by its name, and blanket; a value that is not there is null.</summary>
    internal static string Write(IReadOnlyList<BenchResult> results, BenchRival rival, bool countInstructions)
    {
        IEnumerable<JsonNode> rows = results.Select(result => new JsonObject
        {
            ["name"] = result.Row.Name,
            ["unit"] = result.Row.UnitOf(countInstructions),
            ["native"] = result.Native,
            [rival.JsonName] = result.Rival,
            ["blanket"] = result.Blanket,
        });
        return new JsonArray([.. rows]).ToJsonString(Options) + Environment.NewLine;
    }
}
