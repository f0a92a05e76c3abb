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
    private const int PollMilliseconds = 50;

    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> file = new("GUEST.cfg") { Description = "The guest's configuration in xl.cfg(5) syntax." };
        Command command = new("start", "Start a guest on a running instance.") { file, instance };
        command.SetAction(async (arguments, cancellation) =>
        {
            Start? start = null;
            await InstanceCommand.RunAsync(
                arguments.GetValue(instance),
                async (found, client) => start = await StartAsync(found, client, arguments.GetRequiredValue(file), report, cancellation).ConfigureAwait(false),
                report,
                cancellation).ConfigureAwait(false);
            await AwaitAsync(start!, report, cancellation).ConfigureAwait(false);
            return ExitStatus.Success;
        });
        return command;
    }

    /// <summary>A start that is under way.</summary>
    /// <param name="Instance">Where.</param>
    /// <param name="Name">The guest's name.</param>
    /// <param name="LogPosition">Where what is logged of it begins.</param>
    private sealed record Start(Instance Instance, string Name, ulong LogPosition);

    /// <summary>Waits until a start has come to its end, and says so. Other commands have their turns between two looks.</summary>
    /// <exception cref="HostException">The guest could not be started; the log, which is shown, says why.</exception>
    private static async Task AwaitAsync(Start start, Report report, CancellationToken cancellation)
    {
        bool isTold = false;
        ManagementGuest guest = await LookAsync(start, report, cancellation).ConfigureAwait(false);

        // What became of one that is being torn down already, its log says when it is gone.
        while (ManagementClient.IsComing(in guest) || guest.State == ManagementGuestState.Dying)
        {
            if (guest.State == ManagementGuestState.Waiting && !isTold)
            {
                report.Warning($"{start.Name} waits for memory that other guests give up, or for the start of another");
                isTold = true;
            }

            await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
            guest = await LookAsync(start, report, cancellation).ConfigureAwait(false);
        }

        report.Line(FormattableString.Invariant($"{start.Name}: started as domain {guest.DomainId}"));
    }

    private static async Task<ManagementGuest> LookAsync(Start start, Report report, CancellationToken cancellation)
    {
        using ManagementClient client = await ManagementClient.ConnectAsync(start.Instance, static () => { }, cancellation).ConfigureAwait(false);
        IEnumerable<ManagementGuest> guests = await client.ListAsync(cancellation).ConfigureAwait(false);
        ManagementGuest[] found = [.. guests.Where(guest => ManagementClient.NameOf(guest.Name) == start.Name)];
        if (found.Length != 0)
        {
            return found[0];
        }

        await LogCommands.ShowAsync(client, start.LogPosition, report, cancellation).ConfigureAwait(false);
        using GuestParts machine = await GuestParts.OpenAsync(start.Instance, cancellation).ConfigureAwait(false);
        await ReleaseAsync(client, machine, cancellation).ConfigureAwait(false);
        throw new HostException($"{start.Name} is not there: it could not be started, or has ended already");
    }

    private static async Task<Start> StartAsync(Instance instance, ManagementClient client, string file, Report report, CancellationToken cancellation)
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
            return await SendAsync(instance, client, plan.With(added), name, report, cancellation).ConfigureAwait(false);
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

    private static async Task<Start> SendAsync(
        Instance instance, ManagementClient client, MachinePlan plan, string name, Report report, CancellationToken cancellation)
    {
        byte[] bundle = await BundleBuilder.BuildAsync(plan, string.Empty, cancellation).ConfigureAwait(false);
        ulong end = await LogCommands.EndAsync(client, cancellation).ConfigureAwait(false);
        try
        {
            await client.StartAsync(bundle, cancellation).ConfigureAwait(false);
            return new Start(instance, name, end);
        }
        catch (ManagementException)
        {
            // The log says what was missing.
            await LogCommands.ShowAsync(client, end, report, cancellation).ConfigureAwait(false);
            throw;
        }
    }
}
