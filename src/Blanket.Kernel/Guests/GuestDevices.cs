using System;
using Blanket.Abi;
using Blanket.Backends;
using Blanket.Core.Bundles;
using Blanket.Core.Domains;
using Blanket.Drivers;
using Blanket.Kernel.Platform.Xen;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>The backends of one guest's devices, from their creation to the moment when the last has let go of everything.</summary>
internal sealed class GuestDevices(Guest guest) : BackendOwner
{
    /// <summary>The most devices of a guest.</summary>
    internal const int Maximum = Guest.MaximumDisks + Guest.MaximumVifs + 1;

    private readonly BackendDevice?[] _devices = new BackendDevice?[Maximum];
    private int _count;

    /// <summary>Devices that have not let go yet.</summary>
    internal int Count => _count;

    /// <summary>Creates the console, disks and vifs of a domain that xenstore knows, in the domain's arena.</summary>
    /// <returns>False when one of them could not be had; the log says which.</returns>
    internal bool CreateAll(in BundleReader bundle, Domain domain, ulong consoleFrame, uint consolePort)
    {
        return CreateConsole(domain, consoleFrame, consolePort) && CreateDisks(bundle, domain) && CreateVifs(bundle, domain);
    }

    /// <summary>Asks every device to let go.</summary>
    internal void DestroyAll()
    {
        foreach (BackendDevice? device in _devices)
        {
            if (device != null)
            {
                device.Destroy();
            }
        }
    }

    /// <summary>Writes the counters of disks and vifs.</summary>
    /// <returns>How many there are.</returns>
    internal int Describe(Span<ManagementDevice> counters)
    {
        int count = 0;
        foreach (BackendDevice? device in _devices)
        {
            if (device != null && device.TryDescribe(out ManagementDevice description))
            {
                counters[count++] = description;
            }
        }

        return count;
    }

    /// <inheritdoc/>
    public override void Released(BackendDevice device)
    {
        for (int i = 0; i < _devices.Length; i++)
        {
            if (_devices[i] == device)
            {
                _devices[i] = null;
                _count--;
            }
        }

        GuestManager.Wake();
    }

    private bool CreateConsole(Domain domain, ulong frame, uint port)
    {
        if (!TryEnterArena("console"u8))
        {
            return false;
        }

        int error = PrimaryConsole.Create(BackendService.Bus, this, domain, guest.ConsolePort, frame, port, out PrimaryConsole? console);
        guest.Arena.Leave();
        return Add(console, error, "console"u8);
    }

    private bool CreateDisks(in BundleReader bundle, Domain domain)
    {
        for (uint i = 0; i < guest.Record.DiskCount; i++)
        {
            BootBundleDisk disk = bundle.Disk((int)(guest.Record.FirstDisk + i));
            ReadOnlySpan<byte> serial = disk.Serial;
            int end = serial.IndexOf((byte)0);
            serial = end < 0 ? serial : serial.Slice(0, end);
            BlockDevice? device = FindDisk(guest.Record.FirstDisk + i, serial);
            if (device == null)
            {
                Log.Line("guest "u8).Quoted(guest.Name).Text(": L0 has no disk with serial "u8).Quoted(serial).End();
                return false;
            }

            if (device.Client == null)
            {
                device.Refresh();
            }

            VbdSettings settings = new()
            {
                VirtualDevice = disk.VirtualDevice,
                IsReadOnly = (disk.Flags & BootBundle.DiskReadOnly) != 0,
                NoDiscard = (disk.Flags & BootBundle.DiskNoDiscard) != 0,
                BytesPerSecond = disk.BytesPerSecond,
                RequestsPerSecond = disk.RequestsPerSecond,
            };
            if (!TryEnterArena("disk"u8))
            {
                return false;
            }

            int error = VbdDevice.Create(BackendService.Bus, this, domain, device, in settings, out VbdDevice? vbd);
            guest.Arena.Leave();
            if (!Add(vbd, error, "disk"u8))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Xen's disks have no serials: they come in the order of the bundle's (docs/platform.md, "Xen as L0").</summary>
    private static BlockDevice? FindDisk(uint index, ReadOnlySpan<byte> serial) =>
        !XenPlatform.IsPresent ? DeviceRegistry.Found.FindDisk(serial)
        : index < (uint)DeviceRegistry.Found.DiskCount ? DeviceRegistry.Found.Disk((int)index)
        : null;

    private bool CreateVifs(in BundleReader bundle, Domain domain)
    {
        for (uint i = 0; i < guest.Record.VifCount; i++)
        {
            BootBundleVif vif = bundle.Vif((int)(guest.Record.FirstVif + i));
            if (!TryEnterArena("vif"u8))
            {
                return false;
            }

            int error = Bridges.CreateVif(this, domain, bundle.Bridge((int)vif.Bridge).Name, in vif, out BackendDevice? device);
            guest.Arena.Leave();
            if (!Add(device, error, "vif"u8))
            {
                return false;
            }
        }

        return true;
    }

    private bool TryEnterArena(ReadOnlySpan<byte> kind)
    {
        bool entered = guest.Arena.TryEnter(BackendDevice.ObjectSize);
        return entered || Add(null, -Abi.Xen.Errno.ENOMEM, kind);
    }

    private bool Add(BackendDevice? device, int error, ReadOnlySpan<byte> kind)
    {
        if (device == null)
        {
            Log.Line("guest "u8).Quoted(guest.Name).Text(": cannot create a "u8).Text(kind).Text(", error "u8).Signed(error).End();
            return false;
        }

        for (int i = 0; i < _devices.Length; i++)
        {
            if (_devices[i] == null)
            {
                _devices[i] = device;
                _count++;
                return true;
            }
        }

        device.Destroy();
        return false;
    }
}
