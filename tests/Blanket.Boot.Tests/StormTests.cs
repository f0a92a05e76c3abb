using System;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Xunit.Abstractions;

namespace Blanket.Boot.Tests;

/// <summary>Races on purpose: hypercalls from all vCPUs of several guests at once, on the same frames, grants and ports.</summary>
public sealed partial class StormTests(ITestOutputHelper output)
{
    /// <summary>Environment variable with a number of plays a vCPU; 350,000 take some ten minutes.</summary>
    private const string CountVariable = "BLANKET_STORM";

    private const int DefaultPlays = 6000;
    private const int PlaysBeforeTimeout = 20_000;

    /// <summary>
    /// Two guests of four vCPUs storm each other, and a third with three vCPUs makes random hypercalls, on four CPUs. Meanwhile all references, type
    /// counts and uses of grants are recounted every 50 ms; at the end nothing is left.
    /// </summary>
    [Fact]
    public async Task StormsLeaveAllCountsRight()
    {
        int plays = int.TryParse(Environment.GetEnvironmentVariable(CountVariable), CultureInfo.InvariantCulture, out int wanted) ? wanted : DefaultPlays;
        BootDirectory directory = BootDirectory.For(nameof(StormsLeaveAllCountsRight));
        string Guest(string name, int vcpus, string commandLine) =>
            TestKernel.Write(directory, name, string.Create(CultureInfo.InvariantCulture, $"{commandLine} seed={plays}"), string.Create(CultureInfo.InvariantCulture, $"vcpus = {vcpus}"));
        string[] names = ["first", "second", "third"];
        BlanketCommand run = await BlanketCommand.RunAsync(
            directory,
            [
                Guest("first", 4, string.Create(CultureInfo.InvariantCulture, $"storm={plays} peer=2")),
                Guest("second", 4, string.Create(CultureInfo.InvariantCulture, $"storm={plays} peer=1")),
                Guest("third", 3, string.Create(CultureInfo.InvariantCulture, $"fuzz={plays}")),
                "--cpus", "4", "--options", "recount=50",
            ],
            BlanketCommand.DefaultTimeoutSeconds * (1 + plays / PlaysBeforeTimeout));
        string log = directory.ReadLog("blanket");
        string[] differences = [.. log.Split('\n').Where(line => line.Contains("audit: ", StringComparison.Ordinal))];
        Assert.True(differences.Length == 0, $"counts are wrong: {differences.FirstOrDefault()} (logs: {directory.Root})");
        run.RequireStatus(0);
        foreach (string name in names)
        {
            TestKernel.RequireChecks(directory, name);
        }

        // A play that never succeeds tests nothing.
        foreach (string name in names.Take(2))
        {
            string successes = directory.ReadLog(name).Split('\n').Single(line => line.StartsWith("storm: successes", StringComparison.Ordinal));
            output.WriteLine($"{name}: {successes}");
            Assert.DoesNotContain(" 0/", successes, StringComparison.Ordinal);
        }

        Match recounts = RecountLine().Match(log);
        Assert.True(recounts.Success && int.Parse(recounts.Groups[1].ValueSpan, CultureInfo.InvariantCulture) > 10, $"too few recounts: {recounts.Value} (logs: {directory.Root})");
        output.WriteLine(recounts.Value);
        Audit.RequireNothingLeft(directory);
    }

    [GeneratedRegex("event recount rounds=([0-9]+) differences=0")]
    private static partial Regex RecountLine();
}
