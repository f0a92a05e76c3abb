using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;
using Spectre.Console;

namespace Blanket.Cli.Commands;

/// <summary><c>top</c>: what the guests use, live. Each look is a connection of its own, so that other commands have their turn in between.</summary>
internal static class TopCommand
{
    private const int MaximumSeconds = 3600;

    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Option<bool> json = InstanceCommand.JsonOption();
        Option<int> interval = new("--interval") { Description = "Seconds between two looks.", HelpName = "SECONDS", DefaultValueFactory = _ => 2 };
        Option<int?> count = new("--count") { Description = "End after so many looks (default: at Ctrl-C).", HelpName = "N" };
        interval.Validators.Add(result => RunOptions.RequireRange(result, 1, MaximumSeconds));
        count.Validators.Add(result => RunOptions.RequireRange(result, 1, int.MaxValue));
        Command command = new("top", "Show CPU, memory, disk and network of each guest, live. With --json one line each look.") { instance, json, interval, count };
        command.SetAction(async (arguments, cancellation) =>
        {
            Instance found = Instance.Find(arguments.GetValue(instance));
            TimeSpan pause = TimeSpan.FromSeconds(arguments.GetValue(interval));
            int looks = arguments.GetValue(count) ?? int.MaxValue;
            if (arguments.GetValue(json))
            {
                for (int i = 0; i < looks; i++)
                {
                    (ManagementInstance whole, IReadOnlyList<ManagementGuest> guests) = await LookAsync(found, cancellation).ConfigureAwait(false);
                    InstanceCommand.WriteJson(report, ListCommand.Describe(found.Name, whole, guests));
                    await PauseAsync(i, looks, pause, cancellation).ConfigureAwait(false);
                }
            }
            else
            {
                await ShowAsync(found, pause, looks, cancellation).ConfigureAwait(false);
            }

            return ExitStatus.Success;
        });
        return command;
    }

    private static Task PauseAsync(int look, int looks, TimeSpan pause, CancellationToken cancellation) =>
        look + 1 < looks ? Task.Delay(pause, cancellation) : Task.CompletedTask;

    private static async Task<(ManagementInstance Whole, IReadOnlyList<ManagementGuest> Guests)> LookAsync(Instance instance, CancellationToken cancellation)
    {
        using ManagementClient client = await ManagementClient.ConnectAsync(instance, static () => { }, cancellation).ConfigureAwait(false);
        return (await client.DescribeAsync(cancellation).ConfigureAwait(false), await client.ListAsync(cancellation).ConfigureAwait(false));
    }

    private static Task ShowAsync(Instance instance, TimeSpan pause, int looks, CancellationToken cancellation) =>
        AnsiConsole.Live(new Text(string.Empty)).StartAsync(async live =>
        {
            ulong before = 0;
            Dictionary<ushort, ManagementGuest> last = [];
            for (int i = 0; i < looks; i++)
            {
                (ManagementInstance whole, IReadOnlyList<ManagementGuest> guests) = await LookAsync(instance, cancellation).ConfigureAwait(false);
                live.UpdateTarget(Draw(instance.Name, whole, guests, last, (whole.Uptime - before) / 1e9));
                live.Refresh();
                before = whole.Uptime;
                last = guests.ToDictionary(guest => guest.DomainId);
                await PauseAsync(i, looks, pause, cancellation).ConfigureAwait(false);
            }
        });

    /// <summary>A table of rates since the last look; since a guest's start where there was none.</summary>
    private static Table Draw(
        string name, ManagementInstance whole, IReadOnlyList<ManagementGuest> guests, Dictionary<ushort, ManagementGuest> last, double seconds)
    {
        Table table = new()
        {
            Title = new TableTitle(string.Create(
                CultureInfo.InvariantCulture, $"{name}: {whole.Cpus} CPUs, {whole.MemoryKiB >> 10} MiB, {whole.FreeKiB >> 10} MiB free, {guests.Count} guests")),
            Border = TableBorder.None,
        };
        table.AddColumns("Name", "ID", "State", "CPU %", "Mem MiB", "Max MiB", "Read KiB/s", "Write KiB/s", "Recv KiB/s", "Send KiB/s", "Recv pkt/s", "Send pkt/s", "Lost pkt/s");
        foreach (ManagementGuest guest in guests)
        {
            ManagementGuest old = last.GetValueOrDefault(guest.DomainId);
            table.AddRow(
                ManagementClient.NameOf(guest.Name),
                guest.DomainId.ToString(CultureInfo.InvariantCulture),
                ListCommand.Word(guest.State),
                ((guest.CpuTime - old.CpuTime) / seconds / 1e7).ToString("F1", CultureInfo.InvariantCulture),
                (guest.MemoryKiB >> 10).ToString(CultureInfo.InvariantCulture),
                (guest.MaximumKiB >> 10).ToString(CultureInfo.InvariantCulture),
                KiBRate(guest.ReadBytes, old.ReadBytes, seconds),
                KiBRate(guest.WrittenBytes, old.WrittenBytes, seconds),
                KiBRate(guest.ReceivedBytes, old.ReceivedBytes, seconds),
                KiBRate(guest.SentBytes, old.SentBytes, seconds),
                Rate(guest.ReceivedPackets, old.ReceivedPackets, seconds),
                Rate(guest.SentPackets, old.SentPackets, seconds),
                Rate(guest.DroppedPackets + guest.RejectedPackets, old.DroppedPackets + old.RejectedPackets, seconds));
        }

        return table;
    }

    private static string KiBRate(ulong now, ulong before, double seconds) => Rate(now >> 10, before >> 10, seconds);

    private static string Rate(ulong now, ulong before, double seconds) => ((now - before) / seconds).ToString("F0", CultureInfo.InvariantCulture);
}
