using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Blanket.Lab.Runs;

namespace Blanket.Boot.Tests;

/// <summary>
/// What Blanket counts while it has no guest: frames, grants, event channels, xenstore nodes and whatever else a guest could leave behind
/// (the event <c>audit</c>, docs/hacking.md).
/// </summary>
internal static class Audit
{
    /// <summary>The frames in use, tables that only grow left out, are what must stay the same of these.</summary>
    private static readonly string[] s_frames = ["frames", "free", "tables"];

    /// <summary>Fails, naming what is left, unless Blanket counted a number of times with no guest there, and the same each time.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="times">One for the first start, one for each restart, one for the end.</param>
    internal static void RequireNothingLeft(BootDirectory directory, int times = 2)
    {
        Dictionary<string, long>[] counts =
        [
            .. directory.ReadLog("blanket").Split('\n').Select(RunEvent.TryParse).OfType<RunEvent>().Where(happening => happening.Name == RunEvent.Audit && happening["guests"] == "0").Select(Read),
        ];
        Assert.True(counts.Length == times, $"Blanket counted {counts.Length} times, expected {times} (logs: {directory.Root})");
        foreach (Dictionary<string, long> later in counts.Skip(1))
        {
            string[] left = [.. counts[0].Where(pair => later[pair.Key] != pair.Value).Select(pair => $"{pair.Key} {pair.Value}, later {later[pair.Key]}")];
            Assert.True(left.Length == 0, $"left behind: {string.Join("; ", left)} (logs: {directory.Root})");
        }
    }

    private static Dictionary<string, long> Read(RunEvent audit)
    {
        Dictionary<string, long> counts = audit.Values.Where(pair => !s_frames.Contains(pair.Key)).ToDictionary(pair => pair.Key, pair => Number(pair.Value));
        counts.Add("frames in use", Number(audit["frames"]) - Number(audit["free"]) - Number(audit["tables"]));
        return counts;
    }

    private static long Number(string text) => long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
}
