using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Lab.Instances;

/// <summary>Console ports of guests that come and go while the machine runs: plugged into its console device by QEMU's protocol.</summary>
public static class GuestPorts
{
    private const string DevicePrefix = "console.";
    private const string BackendPrefix = "line.";
    private const string Peripherals = "/machine/peripheral";

    /// <summary>Plugs a port in for a guest's console; its socket is the instance's for that guest.</summary>
    /// <exception cref="HostException">QEMU refused.</exception>
    public static async Task AddAsync(Instance instance, string guest, CancellationToken cancellation)
    {
        using QmpConnection qemu = await QmpConnection.OpenAsync(instance.QmpSocket, cancellation).ConfigureAwait(false);
        JsonObject address = new() { ["type"] = "unix", ["data"] = new JsonObject { ["path"] = instance.ConsoleSocket(guest) } };
        JsonObject socket = new() { ["addr"] = address, ["server"] = true, ["wait"] = false };
        JsonObject backend = new() { ["type"] = "socket", ["data"] = socket };
        await qemu.ExecuteAsync("chardev-add", new JsonObject { ["id"] = BackendPrefix + guest, ["backend"] = backend }, cancellation).ConfigureAwait(false);
        JsonObject device = new()
        {
            ["driver"] = "virtserialport",
            ["bus"] = "serial.0",
            ["id"] = DevicePrefix + guest,
            ["chardev"] = BackendPrefix + guest,
            ["name"] = DevicePrefix + guest,
        };
        try
        {
            await qemu.ExecuteAsync("device_add", device, cancellation).ConfigureAwait(false);
        }
        catch (HostException)
        {
            await qemu.ExecuteAsync("chardev-remove", new JsonObject { ["id"] = BackendPrefix + guest }, cancellation).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Unplugs the ports that <see cref="AddAsync"/> made for guests that are gone.</summary>
    /// <param name="instance">The machine.</param>
    /// <param name="guests">Those that are there.</param>
    /// <param name="cancellation">Stops the work.</param>
    public static async Task RemoveOthersAsync(Instance instance, IReadOnlyCollection<string> guests, CancellationToken cancellation)
    {
        using QmpConnection qemu = await QmpConnection.OpenAsync(instance.QmpSocket, cancellation).ConfigureAwait(false);
        JsonNode devices = await qemu.ExecuteAsync("qom-list", new JsonObject { ["path"] = Peripherals }, cancellation).ConfigureAwait(false);
        foreach (string device in devices.AsArray().Select(entry => entry!["name"]!.GetValue<string>()).Where(name => name.StartsWith(DevicePrefix, System.StringComparison.Ordinal)).ToArray())
        {
            string guest = device[DevicePrefix.Length..];
            if (!guests.Contains(guest))
            {
                await qemu.ExecuteAsync("device_del", new JsonObject { ["id"] = device }, cancellation).ConfigureAwait(false);
                await qemu.ExecuteAsync("chardev-remove", new JsonObject { ["id"] = BackendPrefix + guest }, cancellation).ConfigureAwait(false);
            }
        }
    }
}
