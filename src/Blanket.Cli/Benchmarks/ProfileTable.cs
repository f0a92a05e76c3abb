using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Spectre.Console;

namespace Blanket.Cli.Benchmarks;

/// <summary>Draws a profile for people.</summary>
internal static class ProfileTable
{
    private const int Rows = 60;

    /// <summary>A table of the most expensive functions and the sum of the rest.</summary>
    /// <param name="title">What is counted.</param>
    /// <param name="functions">Counts by function, the largest first.</param>
    /// <param name="operations">How many operations they are for.</param>
    internal static Table Draw(string title, IReadOnlyList<(string Function, ulong Count)> functions, long operations)
    {
        double total = functions.Sum(function => (double)function.Count);
        Table table = new Table().Border(TableBorder.Markdown)
            .AddColumn(new TableColumn(title).RightAligned())
            .AddColumn(new TableColumn("part").RightAligned())
            .AddColumn("function");
        foreach ((string function, ulong count) in functions.Take(Rows))
        {
            Add(function, count);
        }

        Add("all others", functions.Skip(Rows).Sum(function => (double)function.Count));
        Add("of all, blanket", functions.Where(function => function.Function.StartsWith("blanket: ", System.StringComparison.Ordinal)).Sum(function => (double)function.Count));
        Add("total", total);
        return table;

        void Add(string function, double count) => table.AddRow(
            (count / operations).ToString("N1", CultureInfo.InvariantCulture),
            (total == 0 ? 0 : count / total).ToString("0.0 %", CultureInfo.InvariantCulture),
            Markup.Escape(function));
    }
}
