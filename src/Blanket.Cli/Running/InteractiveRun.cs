using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>A run whose guests' consoles are on the user's terminal.</summary>
internal sealed class InteractiveRun(RunSettings settings, Report report)
{
    /// <summary>Runs to the end or until the user leaves.</summary>
    internal async Task<int> RunAsync(PreparedRun prepared, CancellationToken cancellation)
    {
        report.Line(KeyInterpreter.Help);
        using CancellationTokenSource leave = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        await using IL0Machine machine = await prepared.StartAsync(null, cancellation).ConfigureAwait(false);
        MachineRun run;
        try
        {
            using Terminal terminal = Terminal.Open();
            run = await ConnectAsync(terminal, machine, prepared, leave).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            report.Line(string.Empty);
            return ExitStatus.Success;
        }

        report.Line(string.Empty);
        report.Line(run.State.Summary);
        return ExitStatus.Of(run.State.Outcome);
    }

    private async Task<MachineRun> ConnectAsync(Terminal terminal, IL0Machine machine, PreparedRun prepared, CancellationTokenSource leave)
    {
        ConsoleSwitcher switcher = new(terminal.Output);
        ConsoleSwitcher.Entry log = switcher.Add(settings.Native ? "serial line" : "Blanket's log");
        // Keys on Blanket's log are its debug keys; without Blanket they go where the log comes from.
        List<Task> keys = [log.SendKeysAsync(settings.Native ? machine.Log : machine.Console(MachinePlan.BlanketConsolePort), leave.Token)];
        Dictionary<uint, IConsoleSink?> consoles = [];
        foreach ((uint number, _) in prepared.Options.ConsolePorts)
        {
            consoles.Add(number, null);
        }

        foreach (PlannedGuest guest in settings.Native ? [] : prepared.Plan.Guests)
        {
            ConsoleSwitcher.Entry entry = switcher.Add(guest.Configuration.Name);
            consoles[guest.ConsolePort] = prepared.Share(guest.Configuration.Name, entry, machine.Console(guest.ConsolePort));
            keys.Add(entry.SendKeysAsync(machine.Console(guest.ConsolePort), leave.Token));
        }

        prepared.AcceptConsoles(machine, static _ => null);
        await using EndedGuests ended = new(prepared.Instance);
        MachineRun run = new(machine, prepared.ParseLog, happening =>
        {
            _ = EventText.Describe(happening) is string text ? switcher.SayAsync(text) : Task.CompletedTask;
            ended.Note(happening);
        });
        _ = switcher.Left.ContinueWith(_ => leave.Cancel(), TaskScheduler.Default);
        _ = switcher.ReadKeysAsync(terminal.Input);
        try
        {
            await run.CompleteAsync(log, consoles, settings.Timeout, leave.Token).ConfigureAwait(false);
        }
        finally
        {
            await leave.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(keys).ConfigureAwait(false);
        }

        return run;
    }
}
