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
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>A run of one guest on stock Xen, with a hand in dom0: on Blanket, or natively, its kernel in Blanket's place.</summary>
internal sealed class XenRun : IAsyncDisposable
{
    private readonly BootDirectory _directory;
    private readonly List<LineWatch> _logs = [];
    private readonly Lock _lock = new();
    private readonly HashSet<string> _seen = [];
    private readonly Dictionary<string, TaskCompletionSource> _awaited = [];

    private XenMachine _machine = null!;
    private Stream _keys = null!;
    private Task<RunOutcome> _run = null!;

    private XenRun(BootDirectory directory) => _directory = directory;

    /// <summary>Starts a guest; its console goes to <c>NAME.log</c>, and what Xen and dom0 say to <c>xen.log</c>.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="configuration">Path of the guest's configuration.</param>
    /// <param name="type">How Xen runs the machine.</param>
    /// <param name="native">The guest's kernel is in Blanket's place.</param>
    internal static async Task<XenRun> StartAsync(BootDirectory directory, string configuration, XenDomainType type, bool native)
    {
        MachinePlan plan = BundleBuilder.Plan([configuration], static _ => { });
        PlannedGuest guest = plan.Guests[0];
        MachineOptions machine = native ? Native(plan) : await BlanketAsync(plan, directory.PathOf("bundle"));
        XenRun run = new(directory);
        XenDomain domain = new() { Machine = machine, Type = type };
        run._machine = await XenBed.StartAsync(domain, run.Watch("xen", static _ => { }), static _ => { }, CancellationToken.None);
        run.Follow(guest, native);
        return run;
    }

    /// <summary>Waits until the guest has written a line on its console.</summary>
    /// <param name="line">The whole line.</param>
    internal async Task WaitForAsync(string line)
    {
        TaskCompletionSource seen = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            if (_seen.Contains(line))
            {
                return;
            }

            _awaited[line] = seen;
        }

        Task first = await Task.WhenAny(seen.Task, _run);
        Assert.True(first == seen.Task, $"the run ended before '{line}' (logs: {_directory.Root})");
    }

    /// <summary>The number of the last line that consists of a word and a number; 0 for none.</summary>
    internal int LastNumber(string word)
    {
        lock (_lock)
        {
            return _seen.Where(line => line.StartsWith(word + ' ', StringComparison.Ordinal))
                .Select(line => int.TryParse(line.AsSpan(word.Length + 1), out int number) ? number : 0)
                .DefaultIfEmpty().Max();
        }
    }

    /// <summary>Lets dom0 do something to the domain, which has to succeed.</summary>
    internal async Task ActAsync(string word)
    {
        int? status = await _machine.ActAsync(word);
        Assert.True(status == 0, $"dom0's '{word}' ended with status {status?.ToString() ?? "none: the machine ended"} (logs: {_directory.Root})");
    }

    /// <summary>Types a line on the guest's console.</summary>
    internal async Task TypeAsync(string line) => await _keys.WriteAsync(Encoding.ASCII.GetBytes(line + "\n"));

    /// <summary>Ends QEMU at once (SIGKILL), and the run with it.</summary>
    internal async Task KillAsync()
    {
        _machine.Kill();
        await _run;
    }

    /// <summary>Waits for the end of the run, which has to be a success.</summary>
    internal async Task RequireSuccessAsync()
    {
        RunOutcome outcome = await _run;
        Assert.True(outcome == RunOutcome.Success, $"the run ended as {outcome} (logs: {_directory.Root})");
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _machine.DisposeAsync();
        await Task.WhenAny(_run);
        _logs.ForEach(log => log.Dispose());
    }

    private static MachineOptions Machine(MachinePlan plan) => new()
    {
        Kernel = BootDirectory.Image,
        Accelerator = XenBed.Accelerator,
        MemoryMiB = plan.Guests[0].Configuration.MemoryMiB,
        Disks = [.. plan.Disks],
        Nics = plan.Bridges.Count,
    };

    private static MachineOptions Native(MachinePlan plan) => Machine(plan) with
    {
        Kernel = plan.Guests[0].Configuration.Kernel,
        Module = plan.Guests[0].Configuration.Ramdisk,
        CommandLine = plan.Guests[0].Configuration.CommandLine,
    };

    private static async Task<MachineOptions> BlanketAsync(MachinePlan plan, string bundle)
    {
        byte[] content = await BundleBuilder.BuildAsync(plan, string.Empty, CancellationToken.None);
        await File.WriteAllBytesAsync(bundle, content);
        return Machine(plan) with
        {
            Module = bundle,
            MemoryMiB = BundleBuilder.RequiredMemoryMiB(plan, content.Length),
            ConsolePorts =
            [
                (MachinePlan.BlanketConsolePort, MachinePlan.BlanketConsolePortName),
                (plan.Guests[0].ConsolePort, plan.Guests[0].ConsolePortName),
            ],
        };
    }

    private void Follow(PlannedGuest guest, bool native)
    {
        string name = guest.Configuration.Name;
        Dictionary<uint, IConsoleSink?> consoles = [];
        LineWatch log;
        Func<string, IReadOnlyList<RunEvent>> parse;
        if (native)
        {
            log = Watch(name, Note);
            parse = line => LinuxLog.Parse(name, line);
            _keys = _machine.Log;
        }
        else
        {
            log = Watch("blanket", static _ => { });
            parse = static line => RunEvent.TryParse(line) is RunEvent happening ? [happening] : [];
            consoles.Add(guest.ConsolePort, Watch(name, Note));
            _keys = _machine.Console(guest.ConsolePort);
        }

        MachineRun run = new(_machine, parse, static _ => { });
        _run = run.CompleteAsync(log, consoles, TimeSpan.FromSeconds(BlanketCommand.DefaultTimeoutSeconds), CancellationToken.None);
    }

    private LineWatch Watch(string name, Action<string> onLine)
    {
        LineWatch watch = new(_directory.PathOf(name + ".log"), onLine);
        _logs.Add(watch);
        return watch;
    }

    private void Note(string line)
    {
        lock (_lock)
        {
            _seen.Add(line);
            if (_awaited.Remove(line, out TaskCompletionSource? seen))
            {
                seen.SetResult();
            }
        }
    }
}
