using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Blanket.Abi;
using Spectre.Console;

namespace Blanket.Cli.Commands;

/// <summary><c>audit</c>: counts of what guests could leave behind.</summary>
internal static class AuditCommand
{
    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Option<bool> json = InstanceCommand.JsonOption();
        Command command = new("audit", "Count frames, event channels, grants and xenstore nodes in use.") { instance, json };
        command.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            async (_, client) =>
            {
                ManagementAudit audit = await client.AuditAsync(cancellation).ConfigureAwait(false);
                InstanceCommand.Write(report, arguments.GetValue(json), () => Describe(audit), () => Draw(Counts(audit)));
            },
            report,
            cancellation));
        return command;
    }

    /// <summary>The counts with the names that they have in the log (docs/hacking.md, "Boot tests").</summary>
    private static IEnumerable<(string Name, ulong Count)> Counts(ManagementAudit audit) =>
    [
        ("frames", audit.Frames),
        ("free", audit.FreeFrames),
        ("claimed", audit.ClaimedFrames),
        ("tables", audit.TableFrames),
        ("arenas", audit.ArenaFrames),
        ("guests", audit.Guests),
        ("guest_frames", audit.GuestFrames),
        ("devices", audit.Devices),
        ("channels", audit.EventChannels),
        ("service_channels", audit.ServiceChannels),
        ("grants", audit.Grants),
        ("nodes", audit.StoreNodes),
        ("watches", audit.StoreWatches),
        ("connections", audit.StoreConnections),
        ("transactions", audit.StoreTransactions),
    ];

    private static JsonObject Describe(ManagementAudit audit)
    {
        JsonObject counts = [];
        foreach ((string name, ulong count) in Counts(audit))
        {
            counts[name] = count;
        }

        return counts;
    }

    private static Table Draw(IEnumerable<(string Name, ulong Count)> counts)
    {
        Table table = new() { Border = TableBorder.None };
        table.AddColumns("What", "Count");
        foreach ((string name, ulong count) in counts)
        {
            table.AddRow(name, count.ToString(CultureInfo.InvariantCulture));
        }

        return table;
    }
}
