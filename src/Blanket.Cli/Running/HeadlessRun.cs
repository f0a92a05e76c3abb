using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>A run without a terminal: consoles go to files, or line by line to standard output.</summary>
internal sealed class HeadlessRun : IDisposable
{
    private const string BlanketName = "blanket";
    private const string XenName = "xen";

    private readonly RunSettings _settings;
    private readonly Report _report;
    private readonly List<FileSink> _files = [];
    private readonly List<PrefixSink> _printed = [];
    private readonly Dictionary<string, IConsoleSink> _guests = new(StringComparer.Ordinal);
    private readonly Lock _output = new();

    internal HeadlessRun(RunSettings settings, Report report)
    {
        _settings = settings;
        _report = report;
    }

    /// <summary>Runs to the end.</summary>
    internal async Task<int> RunAsync(PreparedRun prepared, CancellationToken cancellation)
    {
        if (_settings.ConsoleDirectory is string directory)
        {
            Directory.CreateDirectory(directory);
        }

        // Without Blanket the serial line is the guest's console.
        IConsoleSink log = CreateSink(_settings.Native ? prepared.Plan.Guests[0].Configuration.Name : BlanketName);
        Dictionary<uint, IConsoleSink?> consoles = [];
        foreach ((uint number, _) in prepared.Options.ConsolePorts)
        {
            consoles.Add(number, null);
        }

        foreach (PlannedGuest guest in prepared.Plan.Guests)
        {
            if (consoles.ContainsKey(guest.ConsolePort))
            {
                consoles[guest.ConsolePort] = GuestSink(guest.Configuration.Name);
            }
        }

        IConsoleSink? platform = _settings.Xen is null ? null : CreateSink(XenName);
        await using IL0Machine machine = await prepared.StartAsync(platform, cancellation).ConfigureAwait(false);
        foreach (PlannedGuest guest in prepared.Plan.Guests)
        {
            if (consoles.TryGetValue(guest.ConsolePort, out IConsoleSink? sink) && sink is not null)
            {
                consoles[guest.ConsolePort] = prepared.Share(guest.Configuration.Name, sink, machine.Console(guest.ConsolePort));
            }
        }

        prepared.AcceptConsoles(machine, GuestSink);
        PanicStack stack = new();
        await using EndedGuests ended = new(prepared.Instance);
        MachineRun run = new(machine, line => ParseLine(line, prepared, stack), happening =>
        {
            Tell(happening);
            ended.Note(happening);
        });
        RunOutcome outcome = await run.CompleteAsync(log, consoles, _settings.Timeout, cancellation).ConfigureAwait(false);
        Conclude(outcome, run.State, machine.Diagnostics);
        foreach (string line in await stack.DescribeAsync(prepared.Options.Kernel, cancellation).ConfigureAwait(false))
        {
            _report.Error($"  at {line}");
        }

        return ExitStatus.Of(outcome);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (FileSink file in _files)
        {
            file.Dispose();
        }
    }

    /// <summary>Where the consoles of all guests of a name go, one after the other.</summary>
    /// <exception cref="InputException">The file of that name is no guest's.</exception>
    private IConsoleSink GuestSink(string name)
    {
        if (_settings.ConsoleDirectory is not null && (name == BlanketName || (name == XenName && _settings.Xen is not null)))
        {
            throw new InputException($"{name}.log of --console-dir is not for guests, expected another name of the guest");
        }

        lock (_guests)
        {
            if (!_guests.TryGetValue(name, out IConsoleSink? sink))
            {
                sink = new SharedSink(CreateSink(name));
                _guests.Add(name, sink);
            }

            return sink;
        }
    }

    private IConsoleSink CreateSink(string name)
    {
        if (_settings.ConsoleDirectory is string directory)
        {
            FileSink file = new(Path.Combine(directory, name + ".log"));
            _files.Add(file);
            return file;
        }

        PrefixSink printed = new(name, Print);
        _printed.Add(printed);
        return printed;
    }

    private void Print(string line)
    {
        lock (_output)
        {
            _report.Line(line);
        }
    }

    private static IReadOnlyList<RunEvent> ParseLine(string line, PreparedRun prepared, PanicStack stack)
    {
        stack.Add(line);
        return prepared.ParseLog(line);
    }

    private void Tell(RunEvent happening)
    {
        if (EventText.Describe(happening) is string text)
        {
            Print(text);
        }
    }

    private void Conclude(RunOutcome outcome, RunState state, string diagnostics)
    {
        _printed.ForEach(sink => sink.Finish());
        if (diagnostics.Length > 0)
        {
            _report.Warning($"QEMU said: {diagnostics.Trim()}");
        }

        if (outcome == RunOutcome.Success)
        {
            _report.Line(state.Summary);
        }
        else
        {
            _report.Error(state.Summary);
        }
    }
}
