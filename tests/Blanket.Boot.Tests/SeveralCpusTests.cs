using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Xunit.Abstractions;

namespace Blanket.Boot.Tests;

/// <summary>Guests with several vCPUs on several CPUs of L0.</summary>
public sealed partial class SeveralCpusTests(ITestOutputHelper output)
{
    private const int WindowSeconds = 10;
    private const double Tolerance = 0.03;

    /// <summary>
    /// Four CPUs of an L0 that runs only one of them at a time, under two guests of four vCPUs: whoever waits for another CPU has to let it
    /// run. With CPUs that spin in a line for a lock this takes minutes and more.
    /// </summary>
    [Fact]
    public async Task CpusThatL0DoesNotRunHoldNobodyUp()
    {
        BootDirectory directory = BootDirectory.For(nameof(CpusThatL0DoesNotRunHoldNobodyUp));
        TestGuest guest = await TestGuest.CreateAsync();
        string[] names = ["first", "second"];
        BlanketCommand run = await BlanketCommand.RunAsync(
            directory,
            [.. names.Select(name => guest.Write(
                directory, name, "panic=-1 blanket.selftest", "vcpus = 4", TestGuest.Disks(directory.CreateDisk(name + ".raw", 64)), "vif = [ \"\" ]")),
            "--cpus", "4"],
            prefix: ["taskset", "-c", "0"]);
        run.RequireStatus(0);
        foreach (string name in names)
        {
            run.RequireInLog(name, "smp: Brought up 1 node, 4 CPUs");
            run.RequireInLog(name, "selftest: passed");
        }
    }

    /// <summary>
    /// Three guests that would use everything on two CPUs: one with a cap of half a CPU, the others with weights 256 and 512 share the rest. Measured by
    /// each guest's own run states over ten seconds in which all three run.
    /// </summary>
    [Fact]
    public async Task GuestsGetTheirWeightsAndCaps()
    {
        BootDirectory directory = BootDirectory.For(nameof(GuestsGetTheirWeightsAndCaps));
        TestGuest guest = await TestGuest.CreateAsync();
        string Burner(string name, int vcpus, params string[] settings) =>
            guest.WriteWithInit(directory, name, "shares.sh", string.Create(CultureInfo.InvariantCulture, $"vcpus={vcpus}"), [],
                [string.Create(CultureInfo.InvariantCulture, $"vcpus = {vcpus}"), .. settings]);
        BlanketCommand run = await BlanketCommand.RunAsync(
            directory,
            [
                Burner("light", 2, "cpu_weight = 256"),
                Burner("heavy", 2, "cpu_weight = 512"),
                Burner("capped", 1, "cpu_weight = 1024", "cap = 50"),
                "--cpus", "2",
            ]);
        run.RequireStatus(0);
        List<Sample>[] samples = [.. new[] { "light", "heavy", "capped" }.Select(name => Samples(directory.ReadLog(name)))];
        long start = samples.Max(of => of[0].Second) + 1;
        double light = Share(samples[0], start, 2);
        double heavy = Share(samples[1], start, 2);
        double capped = Share(samples[2], start, 1);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"CPUs over {WindowSeconds} s: weight 256 {light:F3}, weight 512 {heavy:F3} ({heavy / light:F3} times), cap 50 % {capped:F3}"));
        RequireNear("the cap's share in CPUs", 0.5, capped);
        RequireNear("weight 512 over weight 256", 2, heavy / light);
        RequireNear("all CPUs", 2, light + heavy + capped);
    }

    private static void RequireNear(string what, double expected, double measured) =>
        Assert.True(
            Math.Abs(measured - expected) <= expected * Tolerance,
            string.Create(CultureInfo.InvariantCulture, $"{what}: {measured:F3}, expected {expected:F3} within {Tolerance:P0}"));

    // CPUs that a guest had, on average from a second of wall-clock time on.
    private static double Share(List<Sample> samples, long start, int vcpus)
    {
        Sample first = samples.First(sample => sample.Second >= start);
        Sample last = samples.FirstOrDefault(sample => sample.Up >= first.Up + WindowSeconds * 100);
        Assert.True(last.Up != 0, "the guests did not run at the same time for long enough");
        return vcpus - (double)(last.Stolen - first.Stolen + last.Idle - first.Idle) / (last.Up - first.Up);
    }

    private static List<Sample> Samples(string log) =>
    [
        .. SampleLine().Matches(log).Select(match => new Sample(Number(match, 1), Number(match, 2), Number(match, 3), Number(match, 4))),
    ];

    private static long Number(Match match, int group) => long.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("shares: up ([0-9]+) stolen ([0-9]+) idle ([0-9]+) at ([0-9]+)")]
    private static partial Regex SampleLine();

    /// <summary>A line of shares.sh: times in hundredths of a second, and the wall clock in seconds.</summary>
    private readonly record struct Sample(long Up, long Stolen, long Idle, long Second);
}
