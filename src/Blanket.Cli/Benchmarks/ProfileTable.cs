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
    /// <param name="functions">Instructions by function, the most expensive first.</param>
    /// <param name="operations">How many operations they are for.</param>
    internal static Table Draw(IReadOnlyList<(string Function, ulong Instructions)> functions, long operations)
    {
        double total = functions.Sum(function => (double)function.Instructions);
        Table table = new Table().Border(TableBorder.Markdown)
            .AddColumn(new TableColumn("instructions").RightAligned())
            .AddColumn(new TableColumn("part").RightAligned())
            .AddColumn("function");
        foreach ((string function, ulong instructions) in functions.Take(Rows))
        {
            Add(function, instructions);
        }

        Add("all others", functions.Skip(Rows).Sum(function => (double)function.Instructions));
        Add("total", total);
        return table;

        void Add(string function, double instructions) => table.AddRow(
            (instructions / operations).ToString("N1", CultureInfo.InvariantCulture),
            (total == 0 ? 0 : instructions / total).ToString("0.0 %", CultureInfo.InvariantCulture),
            Markup.Escape(function));
    }
}
