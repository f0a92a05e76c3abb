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
    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Argument<string> file = new("GUEST.cfg") { Description = "The guest's configuration in xl.cfg(5) syntax." };
        Command command = new("start", "Start a guest on a running instance.") { file, instance };
        command.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            (found, client) => StartAsync(found, client, arguments.GetRequiredValue(file), report, cancellation),
            report,
            cancellation));
        return command;
    }

    private static async Task StartAsync(Instance instance, ManagementClient client, string file, Report report, CancellationToken cancellation)
    {
        MachinePlan plan = BundleBuilder.Plan([file], report.Warning);
        PlannedGuest guest = plan.Guests[0];
        string name = guest.Configuration.Name;
        string[] running = [.. (await client.ListAsync(cancellation).ConfigureAwait(false)).Select(record => ManagementClient.NameOf(record.Name))];
        if (running.Contains(name))
        {
            throw new InputException(guest.Configuration.Source, $"name = \"{name}\" is the name of a running guest, expected another");
        }

        using GuestParts? machine = await GuestParts.TryOpenAsync(instance, cancellation).ConfigureAwait(false);
        if (machine is null)
        {
            if (guest.Disks.Count > 0)
            {
                throw new InputException(guest.Disks[0].Specification.Source, "the instance's provider offers no disks for guests of later, expected none");
            }

            report.Warning($"{name} has no console: the instance's provider offers no further ports");
            await StartAsync(client, plan, name, report, cancellation).ConfigureAwait(false);
            return;
        }

        await machine.RemoveOthersAsync(running, cancellation).ConfigureAwait(false);
        if (!System.IO.File.Exists(instance.ConsoleSocket(name)))
        {
            await machine.AddConsoleAsync(name, cancellation).ConfigureAwait(false);
        }

        try
        {
            IReadOnlyList<PlannedDisk> disks = await machine.AddDisksAsync(name, guest.Disks, cancellation).ConfigureAwait(false);
            await StartAsync(client, plan.With(guest with { Disks = disks }), name, report, cancellation).ConfigureAwait(false);
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

    private static async Task StartAsync(ManagementClient client, MachinePlan plan, string name, Report report, CancellationToken cancellation)
    {
        byte[] bundle = await BundleBuilder.BuildAsync(plan, string.Empty, cancellation).ConfigureAwait(false);
        ulong end = await LogCommands.EndAsync(client, cancellation).ConfigureAwait(false);
        try
        {
            ulong domain = await client.StartAsync(bundle, cancellation).ConfigureAwait(false);
            report.Line(FormattableString.Invariant($"{name}: started as domain {domain}"));
        }
        catch (ManagementException)
        {
            // The log says what was missing.
            await LogCommands.ShowAsync(client, end, report, cancellation).ConfigureAwait(false);
            throw;
        }
    }
}
