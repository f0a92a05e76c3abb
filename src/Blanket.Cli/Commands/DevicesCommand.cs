using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Text.Json.Nodes;
using Blanket.Abi;
using Blanket.Lab.Instances;
using Spectre.Console;

namespace Blanket.Cli.Commands;

/// <summary><c>devices</c>: what passed through each disk and network interface of a guest.</summary>
internal static class DevicesCommand
{
    internal static Command Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Option<bool> json = InstanceCommand.JsonOption();
        Argument<string> guest = InstanceCommand.GuestArgument();
        Command command = new("devices", "Show the counters of each disk and network interface of a guest.") { guest, instance, json };
        command.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            async (_, client) =>
            {
                IReadOnlyList<ManagementDevice> devices = await client.DevicesAsync(arguments.GetRequiredValue(guest), cancellation).ConfigureAwait(false);
                InstanceCommand.Write(report, arguments.GetValue(json), () => new JsonArray([.. devices.Select(Describe)]), () => Draw(devices));
            },
            report,
            cancellation));
        return command;
    }

    private static JsonNode Describe(ManagementDevice device) => device.Kind == ManagementDeviceKind.Disk
        ? new JsonObject
        {
            ["kind"] = "disk",
            ["id"] = device.DeviceId,
            ["reads"] = device.InCount,
            ["read_bytes"] = device.InBytes,
            ["writes"] = device.OutCount,
            ["written_bytes"] = device.OutBytes,
            ["failed"] = device.Failed,
            ["flushes"] = device.Other,
        }
        : new JsonObject
        {
            ["kind"] = "vif",
            ["id"] = device.DeviceId,
            ["received_packets"] = device.InCount,
            ["received_bytes"] = device.InBytes,
            ["sent_packets"] = device.OutCount,
            ["sent_bytes"] = device.OutBytes,
            ["dropped_packets"] = device.Failed,
            ["rejected_packets"] = device.Other,
        };

    private static Table Draw(IReadOnlyList<ManagementDevice> devices)
    {
        Table table = new() { Border = TableBorder.None };
        table.AddColumns("Device", "ID", "In", "In KiB", "Out", "Out KiB", "Failed or dropped", "Flushes or rejected");
        foreach (ManagementDevice device in devices)
        {
            ulong[] values = [device.DeviceId, device.InCount, device.InBytes >> 10, device.OutCount, device.OutBytes >> 10, device.Failed, device.Other];
            string kind = device.Kind == ManagementDeviceKind.Disk ? "disk" : "vif";
            table.AddRow([kind, .. values.Select(value => value.ToString(CultureInfo.InvariantCulture))]);
        }

        return table;
    }
}
