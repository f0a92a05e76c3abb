using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.BootDisks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>A run of one guest on stock Xen, with a hand in dom0: on Blanket, or natively, its kernel in Blanket's place.</summary>
internal sealed class XenRun : IAsyncDisposable
{
    /// <summary>What the firmware and GRUB take besides.</summary>
    private const int FirmwareMiB = 64;

    private readonly BootDirectory _directory;
    private readonly List<LineWatch> _logs = [];
    private readonly Lock _lock = new();
    private readonly List<string> _lines = [];
    private readonly List<(Predicate<string> Fits, TaskCompletionSource<string> Seen)> _awaited = [];

    private XenMachine _machine = null!;
    private Stream _keys = null!;
    private Task<RunOutcome> _run = null!;

    private XenRun(BootDirectory directory) => _directory = directory;

    /// <summary>Starts a guest; its console goes to <c>NAME.log</c>, and what Xen and dom0 say to <c>xen.log</c>.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="configuration">Path of the guest's configuration.</param>
    /// <param name="type">How Xen runs the machine.</param>
    /// <param name="native">The guest's kernel is in Blanket's place.</param>
    /// <param name="spareMiB">Memory of the machine besides what its guest needs.</param>
    /// <param name="options">Blanket's.</param>
    internal static async Task<XenRun> StartAsync(
        BootDirectory directory, string configuration, XenDomainType type, bool native, int spareMiB = 0, string options = "")
    {
        MachinePlan plan = BundleBuilder.Plan([configuration], static _ => { });
        PlannedGuest guest = plan.Guests[0];
        MachineOptions machine = native ? Native(plan) : await BlanketAsync(plan, directory.PathOf("bundle"), options, boots: type == XenDomainType.Hvm);
        XenRun run = new(directory) { MemoryMiB = machine.MemoryMiB + spareMiB };
        XenDomain domain = new() { Machine = machine with { MemoryMiB = machine.MemoryMiB + spareMiB }, Type = type };
        run._machine = await XenBed.StartAsync(domain, run.Watch("xen", run.Note), static _ => { }, CancellationToken.None);
        run.Follow(guest, native);
        return run;
    }

    /// <summary>Memory of the machine in MiB.</summary>
    internal long MemoryMiB { get; private init; }

    /// <summary>Waits until the guest, Blanket or dom0 has written a line.</summary>
    /// <param name="line">The whole line.</param>
    internal Task WaitForAsync(string line) => WaitForAsync(seen => seen == line, line);

    /// <summary>Waits until the guest, Blanket or dom0 has written a line that fits.</summary>
    /// <param name="fits">Whether a line does.</param>
    /// <param name="what">What is waited for, for the failure.</param>
    /// <returns>The first such line.</returns>
    internal async Task<string> WaitForAsync(Predicate<string> fits, string what)
    {
        TaskCompletionSource<string> seen = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            if (_lines.Find(fits) is string line)
            {
                return line;
            }

            _awaited.Add((fits, seen));
        }

        Task first = await Task.WhenAny(seen.Task, _run);
        Assert.True(first == seen.Task, $"the run ended{(_run.IsCompletedSuccessfully ? $" as {_run.Result}" : "")} before '{what}' (logs: {_directory.Root})");
        return await seen.Task;
    }

    /// <summary>The number of the last line that consists of a word and a number; 0 for none.</summary>
    internal int LastNumber(string word)
    {
        lock (_lock)
        {
            return _lines.Where(line => line.StartsWith(word + ' ', StringComparison.Ordinal))
                .Select(line => int.TryParse(line.AsSpan(word.Length + 1), out int number) ? number : 0)
                .DefaultIfEmpty().Max();
        }
    }

    /// <summary>What the last line that begins with some text goes on with; null when there was none.</summary>
    internal string? LastAfter(string beginning)
    {
        lock (_lock)
        {
            return _lines.FindLast(line => line.StartsWith(beginning, StringComparison.Ordinal))?[beginning.Length..];
        }
    }

    /// <summary>Lets dom0 do something to the domain, which has to succeed.</summary>
    internal async Task ActAsync(string word)
    {
        int? status = await _machine.ActAsync(word);
        Assert.True(status == 0, $"dom0's '{word}' ended with status {status?.ToString() ?? "none: the machine ended"} (logs: {_directory.Root})");
    }

    /// <summary>Makes a disk of the domain's larger, by its index.</summary>
    internal Task ResizeDiskAsync(int disk, long bytes) => _machine.ResizeDiskAsync(disk, bytes, CancellationToken.None);

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

    private static async Task<MachineOptions> BlanketAsync(MachinePlan plan, string file, string options, bool boots)
    {
        byte[] content = await BundleBuilder.BuildAsync(plan, options, CancellationToken.None);
        await (boots ? BootDisk.WriteAsync(BootDirectory.Image, content, file, CancellationToken.None) : File.WriteAllBytesAsync(file, content));
        return Machine(plan) with
        {
            Module = boots ? null : file,
            BootDisk = boots ? file : null,
            MemoryMiB = BundleBuilder.RequiredMemoryMiB(plan, content.Length) + (boots ? FirmwareMiB : 0),
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
            log = Watch("blanket", Note);
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
            _lines.Add(line);
            foreach ((_, TaskCompletionSource<string> seen) in _awaited.Where(waiting => waiting.Fits(line)))
            {
                seen.TrySetResult(line);
            }

            _awaited.RemoveAll(static waiting => waiting.Seen.Task.IsCompleted);
        }
    }
}
