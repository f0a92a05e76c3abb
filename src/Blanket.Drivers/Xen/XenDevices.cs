using System;
using Blanket.Drivers.Xen.Block;
using Blanket.Drivers.Xen.Net;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>The disks and network interfaces that L0's toolstack gave to L1, as they were found at boot.</summary>
public sealed class XenDevices
{
    // Numbers of virtual disks (xen/docs/misc/vbd-interface.txt): major 202 in the old form, and those of the extended form.
    private const uint ExtendedDisk = 1u << 28;
    private const int MajorShift = 8;
    private const uint DiskMajor = 202;

    // Backends whose scripts have not ended yet.
    private const ulong PatienceNanoseconds = 30_000_000_000;

    private readonly QueuedFrontend?[] _devices = new QueuedFrontend?[2 * XenbusDirectory.MaximumDevices];
    private int _count;

    private XenDevices()
    {
    }

    /// <summary>Connects to all backends, for a bounded time; in an allocation scope that lasts as long as the machine.</summary>
    /// <param name="xen">The Xen underneath.</param>
    /// <param name="found">Gets the devices in ascending order of their numbers. One whose backend is slow becomes usable later.</param>
    public static XenDevices CreateAll(XenTransport xen, DeviceCollection found)
    {
        XenDevices devices = new();
        XenbusDirectory directory = new(xen.Store);

        // Interfaces first: disks reserve most of the grant references.
        directory.Poll("vif"u8);
        foreach (uint id in directory.Ids)
        {
            XenNetDevice device = new(xen, id);
            devices.Add(device, device.CreateQueues() && found.TryAdd(device.Interface));
        }

        directory.Poll("vbd"u8);
        foreach (uint id in directory.Ids)
        {
            // The others are what an HVM domain boots from: no guest's (docs/platform.md, "Xen as L0").
            if ((id & ExtendedDisk) != 0 || id >> MajorShift == DiskMajor)
            {
                XenBlockDevice device = new(xen, id);
                devices.Add(device, device.CreateQueues() && found.TryAdd(device.Disk));
            }
        }

        Start(xen, new ReadOnlySpan<QueuedFrontend?>(devices._devices, 0, devices._count));
        return devices;
    }

    /// <summary>After a restore, when the transport works again: opens all devices with their new backends.</summary>
    public void Restore()
    {
        for (int i = 0; i < _count; i++)
        {
            _devices[i]!.Restore();
        }
    }

    private void Add(QueuedFrontend device, bool canBeUsed)
    {
        if (canBeUsed)
        {
            _devices[_count++] = device;
        }
        else
        {
            Refuse(device, "no memory or grants for it, or one too many"u8);
        }
    }

    private static void Start(XenTransport xen, ReadOnlySpan<QueuedFrontend?> devices)
    {
        foreach (QueuedFrontend? device in devices)
        {
            device!.Start();
        }

        ulong end = SystemTime.Now + PatienceNanoseconds;
        foreach (QueuedFrontend? device in devices)
        {
            while (!device!.HasSettled && SystemTime.Now < end)
            {
                xen.Store.Process();
                Cpu.Pause();
            }

            if (!device.IsConnected)
            {
                Refuse(device, "its backend is not connected"u8);
            }
        }
    }

    private static void Refuse(QueuedFrontend device, ReadOnlySpan<byte> reason) =>
        Log.Line("xen: "u8).Text(device.Home).Text(": "u8).Text(reason).End();
}
