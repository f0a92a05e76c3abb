using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Boot.Tests;

/// <summary>
/// A run of hostile guests next to a good one: a Linux that writes to its disk and verifies (<c>verify.sh</c>) for as long as a hostile guest is
/// left, and then has to power off in order. Logs are written as by the command.
/// </summary>
internal sealed class HostileRun
{
    private const string GoodGuest = "good";

    private readonly BootDirectory _directory;
    private readonly Dictionary<string, string> _ends = new(StringComparer.Ordinal);
    private int _verified;

    private HostileRun(BootDirectory directory) => _directory = directory;

    /// <summary>Runs the guests of some configurations, and the good one, to their end.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="hostile">Paths of configurations.</param>
    internal static async Task<HostileRun> RunAsync(BootDirectory directory, IReadOnlyList<string> hostile)
    {
        HostileRun run = new(directory);
        TestGuest guest = await TestGuest.CreateAsync();
        string good = guest.WriteWithInit(directory, GoodGuest, "verify.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)));
        MachinePlan plan = BundleBuilder.Plan([good, .. hostile], static _ => { });
        RunOutcome outcome = await run.CompleteAsync(plan);
        Assert.True(outcome is RunOutcome.Success or RunOutcome.GuestCrashed, $"the run ended as {outcome} (last in Blanket's log: {run.LastLine("blanket")}; logs: {directory.Root})");
        run.RequireGoodGuest();
        return run;
    }

    /// <summary>Fails unless a guest powered off by itself.</summary>
    internal void RequirePoweroff(string name) => RequireEnd(name, RunEvent.GuestPoweroff);

    /// <summary>Fails unless a guest crashed.</summary>
    internal void RequireCrash(string name) => RequireEnd(name, RunEvent.GuestCrash);

    /// <summary>Fails, naming them, when a guest's log tells of checks that failed; or when it does not tell that all passed.</summary>
    internal void RequireChecks(string name)
    {
        string[] lines = _directory.ReadLog(name).Split('\n');
        string[] failed = [.. lines.Where(line => line.StartsWith("check failed: ", StringComparison.Ordinal))];
        Assert.True(failed.Length == 0, $"{name}: {failed.Length} checks failed, first '{failed.FirstOrDefault()}' (logs: {_directory.Root})");
        Assert.True(
            lines.Any(line => line.StartsWith("testkernel: checks passed ", StringComparison.Ordinal) && line.TrimEnd().EndsWith(", failed 0", StringComparison.Ordinal)),
            $"{name}.log does not tell that all checks passed, its last line is '{LastLine(name)}' (logs: {_directory.Root})");
    }

    private void RequireEnd(string name, string expected) =>
        Assert.True(
            _ends.TryGetValue(name, out string? end) && end == expected,
            $"{name}: {end ?? "no end"}, expected {expected}; its last line is '{LastLine(name)}' (logs: {_directory.Root})");

    private void RequireGoodGuest()
    {
        RequirePoweroff(GoodGuest);
        Assert.Contains("verified to the end", _directory.ReadLog(GoodGuest), StringComparison.Ordinal);
        Assert.True(_verified > 0, "the good guest verified nothing");
        int[] used = FrameUse.Read(_directory);
        Assert.True(used.Length == 2 && used[0] == used[1], $"frames in use before the first guest and after the last: {string.Join(", ", used)} (logs: {_directory.Root})");
    }

    private async Task<RunOutcome> CompleteAsync(MachinePlan plan)
    {
        string bundle = _directory.PathOf("bundle");
        byte[] content = await BundleBuilder.BuildAsync(plan, string.Empty, CancellationToken.None);
        await File.WriteAllBytesAsync(bundle, content);
        MachineOptions options = new()
        {
            Kernel = BootDirectory.Image,
            Module = bundle,
            Accelerator = await AcceleratorProbe.ProbeAsync(CancellationToken.None),
            MemoryMiB = BundleBuilder.RequiredMemoryMiB(plan, content.Length),
            Disks = [.. plan.Disks],
            Nics = plan.Bridges.Count,
            ConsolePorts =
            [
                (MachinePlan.BlanketConsolePort, MachinePlan.BlanketConsolePortName),
                .. plan.Guests.Select(guest => (guest.ConsolePort, guest.ConsolePortName)),
            ],
        };
        await using VirtualMachine machine = await VirtualMachine.StartAsync(options, CancellationToken.None);
        using LineWatch log = new(_directory.PathOf("blanket.log"), static _ => { });
        Dictionary<uint, IConsoleSink?> consoles = new() { [MachinePlan.BlanketConsolePort] = null };
        List<LineWatch> watches = [];
        try
        {
            foreach (PlannedGuest guest in plan.Guests)
            {
                LineWatch watch = new(_directory.PathOf(guest.Configuration.Name + ".log"), guest.Configuration.Name == GoodGuest ? CountRound : static _ => { });
                watches.Add(watch);
                consoles.Add(guest.ConsolePort, watch);
            }

            Stream keys = machine.Console(plan.Guests[0].ConsolePort);
            int hostile = plan.Guests.Count - 1;
            MachineRun run = new(
                machine, static line => RunEvent.TryParse(line) is RunEvent happening ? [happening] : [], happening => Note(happening, keys, hostile));
            return await run.CompleteAsync(log, consoles, TimeSpan.FromSeconds(BlanketCommand.DefaultTimeoutSeconds), CancellationToken.None);
        }
        finally
        {
            watches.ForEach(watch => watch.Dispose());
            File.Delete(bundle);
        }
    }

    private void Note(RunEvent happening, Stream keys, int hostile)
    {
        if (happening.Name is not (RunEvent.GuestPoweroff or RunEvent.GuestCrash))
        {
            return;
        }

        _ends[happening["name"]] = happening.Name;
        if (_ends.Count == hostile && !_ends.ContainsKey(GoodGuest))
        {
            keys.Write(Encoding.ASCII.GetBytes("end\n"));
        }
    }

    private void CountRound(string line)
    {
        if (line.StartsWith("verified ", StringComparison.Ordinal))
        {
            _verified++;
        }
    }

    private string LastLine(string name) =>
        File.Exists(_directory.PathOf(name + ".log")) ? _directory.ReadLog(name).Split('\n', StringSplitOptions.RemoveEmptyEntries).LastOrDefault() ?? string.Empty : "no log";
}
