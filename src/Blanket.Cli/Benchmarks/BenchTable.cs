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
    internal static Table Draw(IReadOnlyList<BenchResult> results, bool countInstructions)
    {
        string unit = countInstructions ? "instructions" : "ns";
        Table table = new Table().Border(TableBorder.Markdown).AddColumn($"{unit} per operation");
        foreach (string title in new[] { "native", "stock Xen", "Blanket", "Xen / native", "Blanket / native", "added, of Xen's" })
        {
            table.AddColumn(new TableColumn(title).RightAligned());
        }

        foreach (BenchResult result in results)
        {
            table.AddRow(
                result.Row.Unit is string own ? $"{result.Row.Title} ({own})" : result.Row.Title,
                Format(result.Native),
                Format(result.StockXen),
                Format(result.Blanket),
                Format(result.Ratio(result.StockXen), "0.00"),
                Format(result.Ratio(result.Blanket), "0.00"),
                Format(result.AddedShare, "0 %"));
        }

        return table;
    }

    private static string Format(long? value) => value?.ToString("N0", CultureInfo.InvariantCulture) ?? Absent;

    private static string Format(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? Absent;
}
