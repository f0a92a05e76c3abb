using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;

namespace Blanket.Cli.Commands;

/// <summary><c>start</c>: adds a guest to a running instance.</summary>
internal static class StartCommand
{
    private const int PollMilliseconds = 100;

    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> file = new("GUEST.cfg") { Description = "The guest's configuration in xl.cfg(5) syntax." };
        Command command = new("start", "Start a guest on a running instance.") { file, instance };
        command.SetAction(async (arguments, cancellation) =>
        {
            Waiting? waiting = null;
            await InstanceCommand.RunAsync(
                arguments.GetValue(instance),
                async (found, client) => waiting = await StartAsync(found, client, arguments.GetRequiredValue(file), report, cancellation).ConfigureAwait(false),
                report,
                cancellation).ConfigureAwait(false);
            while (waiting is not null && !await IsStartedAsync(waiting, report, cancellation).ConfigureAwait(false))
            {
                await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
            }

            return ExitStatus.Success;
        });
        return command;
    }

    /// <summary>A guest whose start waits for memory.</summary>
    /// <param name="Instance">Where.</param>
    /// <param name="Name">Its name.</param>
    /// <param name="LogPosition">Where what is logged of its start begins.</param>
    private sealed record Waiting(Instance Instance, string Name, ulong LogPosition);

    /// <summary>Whether a start has come to its end. Other commands have their turn before the next look.</summary>
    /// <exception cref="HostException">The guest could not be started; the log, which is shown, says why.</exception>
    private static async Task<bool> IsStartedAsync(Waiting waiting, Report report, CancellationToken cancellation)
    {
        using ManagementClient client = await ManagementClient.ConnectAsync(waiting.Instance, static () => { }, cancellation).ConfigureAwait(false);
        IEnumerable<ManagementGuest> guests = await client.ListAsync(cancellation).ConfigureAwait(false);
        ManagementGuest[] found = [.. guests.Where(guest => ManagementClient.NameOf(guest.Name) == waiting.Name)];
        if (found.Length != 0)
        {
            if (found[0].State != ManagementGuestState.Waiting)
            {
                ReportStart(report, waiting.Name, found[0].DomainId);
            }

            return found[0].State != ManagementGuestState.Waiting;
        }

        await LogCommands.ShowAsync(client, waiting.LogPosition, report, cancellation).ConfigureAwait(false);
        using GuestParts machine = await GuestParts.OpenAsync(waiting.Instance, cancellation).ConfigureAwait(false);
        await ReleaseAsync(client, machine, cancellation).ConfigureAwait(false);
        throw new HostException($"{waiting.Name} is not there: it could not be started, or has ended already");
    }

    private static void ReportStart(Report report, string name, ulong domain) => report.Line(FormattableString.Invariant($"{name}: started as domain {domain}"));

    /// <returns>What to wait for, if it does not run yet.</returns>
    private static async Task<Waiting?> StartAsync(Instance instance, ManagementClient client, string file, Report report, CancellationToken cancellation)
    {
        MachinePlan plan = BundleBuilder.Plan([file], report.Warning);
        PlannedGuest guest = plan.Guests[0];
        string name = guest.Configuration.Name;
        string[] running = [.. (await client.ListAsync(cancellation).ConfigureAwait(false)).Select(record => ManagementClient.NameOf(record.Name))];
        if (running.Contains(name))
        {
            throw new InputException(guest.Configuration.Source, $"name = \"{name}\" is the name of a running guest, expected another");
        }

        using GuestParts machine = await GuestParts.OpenAsync(instance, cancellation).ConfigureAwait(false);
        await machine.RemoveOthersAsync(running, cancellation).ConfigureAwait(false);
        try
        {
            PlannedGuest added = await machine.AddAsync(guest, cancellation).ConfigureAwait(false);
            return await StartAsync(instance, client, plan.With(added), name, report, cancellation).ConfigureAwait(false);
        }
        catch
        {
            await ReleaseAsync(client, machine, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Takes away what the machine has for guests that are gone.</summary>
    internal static async Task ReleaseAsync(ManagementClient client, GuestParts machine, CancellationToken cancellation)
    {
        IReadOnlyList<ManagementGuest> guests = await client.ListAsync(cancellation).ConfigureAwait(false);
        await machine.RemoveOthersAsync([.. guests.Select(guest => ManagementClient.NameOf(guest.Name))], cancellation).ConfigureAwait(false);
    }

    private static async Task<Waiting?> StartAsync(
        Instance instance, ManagementClient client, MachinePlan plan, string name, Report report, CancellationToken cancellation)
    {
        byte[] bundle = await BundleBuilder.BuildAsync(plan, string.Empty, cancellation).ConfigureAwait(false);
        ulong end = await LogCommands.EndAsync(client, cancellation).ConfigureAwait(false);
        try
        {
            ulong domain = await client.StartAsync(bundle, cancellation).ConfigureAwait(false);
            if (domain == 0)
            {
                report.Warning($"{name} waits for memory that other guests give up");
                return new Waiting(instance, name, end);
            }

            ReportStart(report, name, domain);
            return null;
        }
        catch (ManagementException)
        {
            // The log says what was missing.
            await LogCommands.ShowAsync(client, end, report, cancellation).ConfigureAwait(false);
            throw;
        }
    }
}
