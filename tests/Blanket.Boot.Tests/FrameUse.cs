using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;

namespace Blanket.Boot.Tests;

/// <summary>The frames that Blanket itself has in use while there is no guest, as its log tells them.</summary>
internal static partial class FrameUse
{
    /// <summary>One number for each time that it was told; tables that grow and never shrink are left out.</summary>
    internal static int[] Read(BootDirectory directory) =>
        [.. Line().Matches(directory.ReadLog("blanket")).Select(match => Number(match, "total") - Number(match, "free") - Number(match, "tables"))];

    /// <summary>Fails unless a run of a guest that was started so many times had the same frames in use before each start and at the end.</summary>
    internal static void RequireEqual(BootDirectory directory, int starts)
    {
        int[] used = Read(directory);
        Assert.True(used.Length == starts + 1, $"Blanket told its frames {used.Length} times, expected once before each of {starts} starts and at the end");
        Assert.True(used.Distinct().Count() == 1, $"frames in use without a guest: {string.Join(", ", used)}; expected the same each time");
    }

    private static int Number(Match match, string group) => int.Parse(match.Groups[group].Value, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex("^blanket: event audit frames=(?<total>[0-9]+) free=(?<free>[0-9]+) tables=(?<tables>[0-9]+)", RegexOptions.Multiline)]
    private static partial Regex Line();
}
