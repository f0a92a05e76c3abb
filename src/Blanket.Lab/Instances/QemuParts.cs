using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Lab.Instances;

/// <summary>
/// What a machine of KVM's has for guests, changed by QEMU's protocol: console ports are plugged into its console device, and disk images are put
/// behind disk devices that are there from the start (<see cref="DiskSlot"/>).
/// </summary>
public sealed class QemuParts : GuestParts
{
    private const string ConsolePrefix = "console.";
    private const string LinePrefix = "line.";
    private const string Peripherals = "/machine/peripheral";

    private readonly Instance _instance;
    private readonly QmpConnection _qemu;

    private QemuParts(Instance instance, QmpConnection qemu)
    {
        _instance = instance;
        _qemu = qemu;
    }

    /// <summary>Connects to the machine.</summary>
    /// <exception cref="HostException">It does not listen.</exception>
    public static async Task<QemuParts> ConnectAsync(Instance instance, CancellationToken cancellation) =>
        new(instance, await QmpConnection.OpenAsync(instance.QmpSocket, cancellation).ConfigureAwait(false));

    /// <inheritdoc/>
    public override async Task<PlannedGuest> AddAsync(PlannedGuest guest, CancellationToken cancellation)
    {
        string name = guest.Configuration.Name;
        if (!System.IO.File.Exists(_instance.ConsoleSocket(name)))
        {
            await AddConsoleAsync(name, cancellation).ConfigureAwait(false);
        }

        return guest with { Disks = await AddDisksAsync(name, guest.Disks, cancellation).ConfigureAwait(false) };
    }

    /// <summary>Plugs a port in for a guest's console; its socket is the instance's for that guest.</summary>
    private async Task AddConsoleAsync(string guest, CancellationToken cancellation)
    {
        JsonObject address = new() { ["type"] = "unix", ["data"] = new JsonObject { ["path"] = _instance.ConsoleSocket(guest) } };
        JsonObject socket = new() { ["addr"] = address, ["server"] = true, ["wait"] = false };
        JsonObject backend = new() { ["type"] = "socket", ["data"] = socket };
        await _qemu.ExecuteAsync("chardev-add", new JsonObject { ["id"] = LinePrefix + guest, ["backend"] = backend }, cancellation).ConfigureAwait(false);
        JsonObject device = new()
        {
            ["driver"] = "virtserialport",
            ["bus"] = "serial.0",
            ["id"] = ConsolePrefix + guest,
            ["chardev"] = LinePrefix + guest,
            ["name"] = ConsolePrefix + guest,
        };
        try
        {
            await _qemu.ExecuteAsync("device_add", device, cancellation).ConfigureAwait(false);
        }
        catch (HostException)
        {
            await ExecuteAsync("chardev-remove", "id", LinePrefix + guest, cancellation).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Puts a guest's disk images behind free disk devices.</summary>
    /// <returns>The disks with the serials of their devices.</returns>
    /// <exception cref="HostException">There are too few devices, or QEMU refused an image; then nothing has changed.</exception>
    public async Task<IReadOnlyList<PlannedDisk>> AddDisksAsync(string guest, IReadOnlyList<PlannedDisk> disks, CancellationToken cancellation)
    {
        if (disks.Count == 0)
        {
            return disks;
        }

        List<PlannedDisk> added = [];
        List<DiskSlot> slots = [.. _instance.ReadDiskSlots()];
        try
        {
            foreach (PlannedDisk disk in disks)
            {
                bool isReadOnly = disk.Specification.ReadOnly;
                int index = slots.FindIndex(slot => slot.Guest is null && slot.ReadOnly == isReadOnly);
                if (index < 0)
                {
                    throw new HostException(
                        $"no {(isReadOnly ? "read-only" : "writable")} disk device of the machine is free, expected ./blanket run with more --spare-{(isReadOnly ? "read-only-" : string.Empty)}disks");
                }

                await InsertAsync(slots[index], disk, cancellation).ConfigureAwait(false);
                slots[index] = slots[index] with { Guest = guest };
                _instance.WriteDiskSlots(slots);
                added.Add(disk with { Serial = slots[index].Serial });
            }
        }
        catch
        {
            await EmptyAsync(slot => added.Any(disk => disk.Serial == slot.Serial), CancellationToken.None).ConfigureAwait(false);
            throw;
        }

        return added;
    }

    /// <inheritdoc/>
    public override async Task RemoveOthersAsync(IReadOnlyCollection<string> guests, CancellationToken cancellation)
    {
        JsonNode devices = await _qemu.ExecuteAsync("qom-list", new JsonObject { ["path"] = Peripherals }, cancellation).ConfigureAwait(false);
        string[] consoles = [.. devices.AsArray().Select(entry => entry!["name"]!.GetValue<string>()).Where(name => name.StartsWith(ConsolePrefix, StringComparison.Ordinal))];
        foreach (string device in consoles)
        {
            string guest = device[ConsolePrefix.Length..];
            if (!guests.Contains(guest))
            {
                await ExecuteAsync("device_del", "id", device, cancellation).ConfigureAwait(false);
                await _qemu.AwaitEventAsync("DEVICE_DELETED", data => (string?)data["device"] == device, cancellation).ConfigureAwait(false);
                await ExecuteAsync("chardev-remove", "id", LinePrefix + guest, cancellation).ConfigureAwait(false);
                System.IO.File.Delete(_instance.ConsoleSocket(guest));
            }
        }

        await EmptyAsync(slot => slot.Guest is string guest && !guests.Contains(guest), cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override void Dispose() => _qemu.Dispose();

    private async Task InsertAsync(DiskSlot slot, PlannedDisk disk, CancellationToken cancellation)
    {
        DiskNodes nodes = new(slot.Serial);
        await _qemu.ExecuteAsync("blockdev-add", nodes.File(disk.Specification), cancellation).ConfigureAwait(false);
        try
        {
            await _qemu.ExecuteAsync("blockdev-add", nodes.Format(disk.Specification), cancellation).ConfigureAwait(false);
            try
            {
                await SetDriveAsync(slot.Serial, nodes.FormatName, cancellation).ConfigureAwait(false);
            }
            catch (HostException)
            {
                await ExecuteAsync("blockdev-del", "node-name", nodes.FormatName, CancellationToken.None).ConfigureAwait(false);
                throw;
            }
        }
        catch (HostException)
        {
            await ExecuteAsync("blockdev-del", "node-name", nodes.FileName, CancellationToken.None).ConfigureAwait(false);
            throw;
        }

        await ExecuteAsync("blockdev-del", "node-name", nodes.EmptyName, cancellation).ConfigureAwait(false);
    }

    private async Task EmptyAsync(Func<DiskSlot, bool> which, CancellationToken cancellation)
    {
        DiskSlot[] slots = [.. _instance.ReadDiskSlots()];
        for (int i = 0; i < slots.Length; i++)
        {
            if (!which(slots[i]))
            {
                continue;
            }

            DiskNodes nodes = new(slots[i].Serial);
            await _qemu.ExecuteAsync("blockdev-add", nodes.Empty(slots[i].ReadOnly), cancellation).ConfigureAwait(false);
            await SetDriveAsync(slots[i].Serial, nodes.EmptyName, cancellation).ConfigureAwait(false);
            await ExecuteAsync("blockdev-del", "node-name", nodes.FormatName, cancellation).ConfigureAwait(false);
            await ExecuteAsync("blockdev-del", "node-name", nodes.FileName, cancellation).ConfigureAwait(false);
            slots[i] = slots[i] with { Guest = null };
            _instance.WriteDiskSlots(slots);
        }
    }

    private Task SetDriveAsync(string device, string node, CancellationToken cancellation) =>
        _qemu.ExecuteAsync("qom-set", new JsonObject { ["path"] = $"{Peripherals}/{device}", ["property"] = "drive", ["value"] = node }, cancellation);

    private Task ExecuteAsync(string command, string key, string value, CancellationToken cancellation) =>
        _qemu.ExecuteAsync(command, new JsonObject { [key] = value }, cancellation);
}
