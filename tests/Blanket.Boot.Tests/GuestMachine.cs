using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Instances;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>
/// A machine with guests that a test takes part in: it sees each line as it comes, types into consoles and talks to QEMU. A guest that wants
/// something done says <c>await: WHAT</c> and reads a line from its console. Logs are written as by the command.
/// </summary>
internal sealed class GuestMachine(BootDirectory directory)
{
    private const string Wish = "await: ";

    private readonly Dictionary<string, Func<Task>> _wishes = new(StringComparer.Ordinal);
    private readonly List<Task> _granted = [];
    private readonly Dictionary<string, LineWatch> _watches = new(StringComparer.Ordinal);
    private Instance? _instance;
    private IL0Machine? _machine;
    private MachinePlan? _plan;

    /// <summary>Called for each whole line of a guest's console: its name, the line.</summary>
    internal Action<string, string>? OnLine { get; init; }

    /// <summary>Called for each event in Blanket's log.</summary>
    internal Action<RunEvent>? OnEvent { get; init; }

    /// <summary>How Xen runs the machine; null for one without Xen underneath.</summary>
    internal XenDomainType? Xen { get; init; }

    /// <summary>What dom0 does before the machine starts.</summary>
    internal XenPreparation? XenPreparation { get; init; }

    /// <summary>Changes the machine before it starts.</summary>
    internal Func<MachineOptions, MachineOptions>? Configure { get; init; }

    /// <summary>How the guests ended, so far: the name of the last event of each.</summary>
    internal Dictionary<string, string> Ends { get; } = new(StringComparer.Ordinal);

    /// <summary>What is done when a guest says <c>await: WHAT</c>, before the guest is told to go on.</summary>
    internal void When(string what, Func<Task> action) => _wishes.Add(what, action);

    /// <summary>Runs the guests of some configurations until the machine ends.</summary>
    internal async Task<RunOutcome> RunAsync(params IReadOnlyList<string> configurations)
    {
        _plan = BundleBuilder.Plan(configurations, static _ => { });
        string bundle = directory.PathOf("bundle");
        byte[] content = await BundleBuilder.BuildAsync(_plan, string.Empty, CancellationToken.None);
        await File.WriteAllBytesAsync(bundle, content);
        using Instance instance = Instance.Create(null);
        _instance = instance;
        MachineOptions options = await DescribeAsync(_plan, bundle, BundleBuilder.RequiredMemoryMiB(_plan, content.Length));
        using LineWatch platform = new(directory.PathOf("xen.log"), static _ => { });
        await using IL0Machine machine = await StartAsync(Configure?.Invoke(options) ?? options, platform);
        _machine = machine;
        using LineWatch log = new(directory.PathOf("blanket.log"), static _ => { });
        try
        {
            MachineRun run = new(machine, static line => RunEvent.TryParse(line) is RunEvent happening ? [happening] : [], Note);
            RunOutcome outcome = await run.CompleteAsync(log, WatchConsoles(_plan), TimeSpan.FromSeconds(BlanketCommand.DefaultTimeoutSeconds), CancellationToken.None);
            await Task.WhenAll(_granted);
            return outcome;
        }
        finally
        {
            foreach (LineWatch watch in _watches.Values)
            {
                watch.Dispose();
            }

            File.Delete(bundle);
        }
    }

    /// <summary>Runs the guests, and fails unless all power off by themselves.</summary>
    internal async Task RequirePoweroffAsync(params IReadOnlyList<string> configurations)
    {
        RunOutcome outcome = await RunAsync(configurations);
        Assert.True(outcome == RunOutcome.Success, $"the run ended as {outcome}: {string.Join("; ", _watches.Keys.Append("blanket").Select(name => $"{name}: '{LastLine(name)}'"))} (logs: {directory.Root})");
    }

    /// <summary>The whole lines of a guest's console, so far.</summary>
    internal IReadOnlyList<string> Lines(string guest) => _watches[guest].Lines;

    /// <summary>The last line of a log that says something.</summary>
    internal string LastLine(string name) =>
        File.Exists(directory.PathOf(name + ".log")) ? directory.ReadLog(name).Split('\n', StringSplitOptions.RemoveEmptyEntries).LastOrDefault() ?? string.Empty : "no log";

    /// <summary>Fails when a guest has not said a line.</summary>
    internal void RequireLine(string guest, string line) =>
        Assert.True(Lines(guest).Contains(line), $"{guest}.log has no line '{line}', its last is '{LastLine(guest)}' (logs: {directory.Root})");

    /// <summary>Types a line into a guest's console.</summary>
    internal void Type(string guest, string line)
    {
        PlannedGuest planned = _plan!.Guests.Single(candidate => candidate.Configuration.Name == guest);
        _machine!.Console(planned.ConsolePort).Write(Encoding.ASCII.GetBytes(line + "\n"));
    }

    /// <summary>Executes a command of QEMU's machine protocol.</summary>
    internal async Task<JsonNode> ExecuteAsync(string command, JsonObject arguments)
    {
        using QmpConnection connection = await QmpConnection.OpenAsync(_instance!.QmpSocket, CancellationToken.None);
        return await connection.ExecuteAsync(command, arguments, CancellationToken.None);
    }

    /// <summary>Ends QEMU as a power failure would.</summary>
    internal void Kill() => _machine!.Kill();

    private async Task<IL0Machine> StartAsync(MachineOptions options, IConsoleSink platform) =>
        Xen is XenDomainType type
            ? await XenBed.StartAsync(new XenDomain { Machine = options, Type = type, Preparation = XenPreparation }, platform, static _ => { }, CancellationToken.None)
            : await VirtualMachine.StartAsync(options, CancellationToken.None);

    private async Task<MachineOptions> DescribeAsync(MachinePlan plan, string bundle, long memoryMiB) => new()
    {
        Kernel = BootDirectory.Image,
        Module = bundle,
        Accelerator = Xen is null ? await AcceleratorProbe.ProbeAsync(CancellationToken.None) : XenBed.Accelerator,
        MemoryMiB = memoryMiB,
        Disks = [.. plan.Disks],
        Nics = plan.Bridges.Count,
        Instance = _instance,
        ConsolePorts =
        [
            (MachinePlan.BlanketConsolePort, MachinePlan.BlanketConsolePortName),
            .. plan.Guests.Select(guest => (guest.ConsolePort, guest.ConsolePortName)),
        ],
    };

    private Dictionary<uint, IConsoleSink?> WatchConsoles(MachinePlan plan)
    {
        Dictionary<uint, IConsoleSink?> consoles = new() { [MachinePlan.BlanketConsolePort] = null };
        foreach (PlannedGuest guest in plan.Guests)
        {
            string name = guest.Configuration.Name;
            LineWatch watch = new(directory.PathOf(name + ".log"), line => Follow(name, line));
            _watches.Add(name, watch);
            consoles.Add(guest.ConsolePort, watch);
        }

        return consoles;
    }

    private void Note(RunEvent happening)
    {
        if (happening.Name is RunEvent.GuestPoweroff or RunEvent.GuestCrash)
        {
            Ends[happening["name"]] = happening.Name;
        }

        OnEvent?.Invoke(happening);
    }

    private void Follow(string guest, string line)
    {
        OnLine?.Invoke(guest, line);
        if (line.StartsWith(Wish, StringComparison.Ordinal))
        {
            _granted.Add(GrantAsync(guest, line[Wish.Length..].TrimEnd()));
        }
    }

    /// <summary>A wish that cannot be granted ends the run.</summary>
    private async Task GrantAsync(string guest, string what)
    {
        try
        {
            await _wishes[what]();
            Type(guest, "done");
        }
        catch
        {
            Kill();
            throw;
        }
    }
}
