using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Text.Json.Nodes;
using Blanket.Abi;
using Blanket.Lab.Instances;
using Spectre.Console;

namespace Blanket.Cli.Commands;

/// <summary><c>list</c>: the guests of a running instance.</summary>
internal static class ListCommand
{
    private const double NanosecondsPerSecond = 1e9;

    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Option<bool> json = InstanceCommand.JsonOption();
        Command command = new("list", "Show the guests of a running instance.") { instance, json };
        command.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            async (found, client) =>
            {
                ManagementInstance whole = await client.DescribeAsync(cancellation).ConfigureAwait(false);
                IReadOnlyList<ManagementGuest> guests = await client.ListAsync(cancellation).ConfigureAwait(false);
                InstanceCommand.Write(report, arguments.GetValue(json), () => Describe(found.Name, whole, guests), () => Draw(guests));
            },
            report,
            cancellation));
        return command;
    }

    /// <summary>A state in a word.</summary>
    internal static string Word(ManagementGuestState state) => state.ToString().ToLowerInvariant();

    /// <summary>The guests and the instance for scripts.</summary>
    internal static JsonObject Describe(string instance, ManagementInstance whole, IReadOnlyList<ManagementGuest> guests) => new()
    {
        ["instance"] = instance,
        ["uptime_ns"] = whole.Uptime,
        ["cpus"] = whole.Cpus,
        ["memory_kib"] = whole.MemoryKiB,
        ["free_kib"] = whole.FreeKiB,
        ["claimed_kib"] = whole.ClaimedKiB,
        ["memory_policy"] = whole.MemoryPolicy.ToString().ToLowerInvariant(),
        ["disks"] = whole.Disks,
        ["disks_in_use"] = whole.DisksInUse,
        ["event_channels"] = whole.EventChannels,
        ["grants"] = whole.Grants,
        ["store_nodes"] = whole.StoreNodes,
        ["table_frames"] = whole.TableFrames,
        ["guests"] = new JsonArray([.. guests.Select(Describe)]),
    };

    private static JsonNode Describe(ManagementGuest guest) => new JsonObject
    {
        ["name"] = ManagementClient.NameOf(guest.Name),
        ["domid"] = guest.DomainId,
        ["state"] = Word(guest.State),
        ["vcpus"] = guest.Vcpus,
        ["vcpus_online"] = guest.OnlineVcpus,
        ["cpu_ns"] = guest.CpuTime,
        ["memory_kib"] = guest.MemoryKiB,
        ["target_kib"] = guest.TargetKiB,
        ["maximum_kib"] = guest.MaximumKiB,
        ["wish_kib"] = guest.WishKiB,
        ["minimum_kib"] = guest.MinimumKiB,
        ["disk_reads"] = guest.Reads,
        ["disk_read_bytes"] = guest.ReadBytes,
        ["disk_writes"] = guest.Writes,
        ["disk_written_bytes"] = guest.WrittenBytes,
        ["net_received_packets"] = guest.ReceivedPackets,
        ["net_received_bytes"] = guest.ReceivedBytes,
        ["net_sent_packets"] = guest.SentPackets,
        ["net_sent_bytes"] = guest.SentBytes,
        ["net_dropped_packets"] = guest.DroppedPackets,
        ["net_rejected_packets"] = guest.RejectedPackets,
    };

    private static Table Draw(IReadOnlyList<ManagementGuest> guests)
    {
        Table table = new() { Border = TableBorder.None };
        table.AddColumns("Name", "ID", "Mem(MiB)", "VCPUs", "State", "Time(s)");
        foreach (ManagementGuest guest in guests)
        {
            table.AddRow(
                ManagementClient.NameOf(guest.Name),
                guest.DomainId.ToString(CultureInfo.InvariantCulture),
                (guest.MemoryKiB >> 10).ToString(CultureInfo.InvariantCulture),
                guest.OnlineVcpus.ToString(CultureInfo.InvariantCulture),
                Word(guest.State),
                (guest.CpuTime / NanosecondsPerSecond).ToString("F1", CultureInfo.InvariantCulture));
        }

        return table;
    }
}
