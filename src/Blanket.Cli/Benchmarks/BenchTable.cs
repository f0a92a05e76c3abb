using System.Collections.Generic;
using System.Globalization;
using Blanket.Lab.Bench;
using Spectre.Console;

namespace Blanket.Cli.Benchmarks;

/// <summary>Draws results for people.</summary>
internal static class BenchTable
{
    private const string Absent = "-";

    /// <summary>A table with ratios.</summary>
    internal static Table Draw(IReadOnlyList<BenchResult> results, BenchRival rival, bool countInstructions)
    {
        string unit = countInstructions ? "instructions" : "ns";
        Table table = new Table().Border(TableBorder.Markdown).AddColumn($"{unit} per operation");
        string other = rival.ShortTitle;
        foreach (string title in new[] { "native", rival.Title, "Blanket", $"{other} / native", "Blanket / native", $"{other} / Blanket", $"added, of {other}'s" })
        {
            table.AddColumn(new TableColumn(title).RightAligned());
        }

        foreach (BenchResult result in results)
        {
            table.AddRow(
                result.Row.Unit is string own ? $"{result.Row.Title} ({own})" : result.Row.Title,
                Format(result.Native),
                Format(result.Rival),
                Format(result.Blanket),
                Format(BenchResult.Ratio(result.Rival, result.Native), "0.00"),
                Format(BenchResult.Ratio(result.Blanket, result.Native), "0.00"),
                Format(BenchResult.Ratio(result.Rival, result.Blanket), "0.00"),
                Format(result.AddedShare, "0 %"));
        }

        return table;
    }

    private static string Format(long? value) => value?.ToString("N0", CultureInfo.InvariantCulture) ?? Absent;

    private static string Format(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? Absent;
}
