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

    private static int Number(Match match, string group) => int.Parse(match.Groups[group].Value, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex("^blanket: event audit frames=(?<total>[0-9]+) free=(?<free>[0-9]+) tables=(?<tables>[0-9]+)", RegexOptions.Multiline)]
    private static partial Regex Line();
}
