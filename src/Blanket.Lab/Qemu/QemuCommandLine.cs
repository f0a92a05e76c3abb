using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text.Json.Nodes;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Instances;

namespace Blanket.Lab.Qemu;

/// <summary>Turns <see cref="MachineOptions"/> into QEMU's arguments.</summary>
public sealed class QemuCommandLine
{
    /// <summary>QEMU's program for this machine type.</summary>
    public const string Program = "qemu-system-x86_64";

    /// <summary>QEMU's own limit of a virtio console device is 511 ports; its default is 31.</summary>
    private const int DefaultConsolePorts = 31;

    /// <summary>UEFI firmware of Debian's package ovmf that keeps its variables in memory.</summary>
    private const string UefiFirmware = "/usr/share/ovmf/OVMF.fd";

    /// <summary>Ports of a machine that guests can be added to: as many as Blanket serves of a device.</summary>
    private const int ManagedConsolePorts = 64;

    private readonly MachineOptions _options;
    private readonly string _socketDirectory;
    private readonly PciSlots _slots;
    private readonly List<string> _arguments = [];

    private QemuCommandLine(MachineOptions options, string socketDirectory)
    {
        _options = options;
        _socketDirectory = socketDirectory;
        const int serialEntropyShareAndBoot = 4;
        _slots = new PciSlots(options.Disks.Count + options.SpareDisks.Count + options.Nics + serialEntropyShareAndBoot);
    }

    /// <summary>QEMU's arguments.</summary>
    /// <param name="options">The machine.</param>
    /// <param name="socketDirectory">Where the Unix sockets of <see cref="LogSocket"/> and <see cref="ConsoleSocket"/> listen.</param>
    public static IReadOnlyList<string> Build(MachineOptions options, string socketDirectory)
    {
        QemuCommandLine line = new(options, socketDirectory);
        line.AddMachine();
        line.AddBoot();
        line.AddLog();
        line.AddConsoles();
        line.AddEntropy();
        line.AddDisks();
        line.AddNics();
        line.AddSpareDisks();
        line.AddShare();
        line.AddBootDisk();
        if (options.GdbPort is int port)
        {
            line.Add("-gdb", Invariant($"tcp:127.0.0.1:{port}"), "-S");
        }

        line._arguments.AddRange(options.ExtraArguments);
        return line._arguments;
    }

    /// <summary>The socket that QEMU connects the serial line COM1 to.</summary>
    public static string LogSocket(string directory) => Path.Combine(directory, "log");

    /// <summary>The socket that QEMU connects a console port to.</summary>
    public static string ConsoleSocket(string directory, uint port) => Path.Combine(directory, Invariant($"con{port}"));

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    /// <summary>QEMU reads a doubled comma as a comma in the value of an option.</summary>
    private static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    private void Add(params string[] arguments) => _arguments.AddRange(arguments);

    private void AddMachine()
    {
        Add("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot");
        Add("-machine", _options.MachineType, "-accel", _options.Accelerator.Argument, "-cpu", _options.Accelerator.CpuModel);
        Add("-m", Invariant($"{_options.MemoryMiB}M"), "-smp", Invariant($"{_options.Cpus}"));
    }

    private void AddBoot()
    {
        if (_options.Firmware != Firmware.None)
        {
            if (_options.Firmware == Firmware.Uefi)
            {
                Add("-bios", UefiFirmware);
            }

            return;
        }

        Add("-kernel", _options.Kernel);
        if (_options.Module is string module)
        {
            // A comma separates modules here, too.
            Add("-initrd", Escape(module));
        }

        if (_options.CommandLine.Length > 0)
        {
            Add("-append", _options.CommandLine);
        }
    }

    private void AddLog() =>
        Add("-chardev", $"socket,id=log,path={Escape(LogSocket(_socketDirectory))}", "-serial", "chardev:log");

    private void AddConsoles()
    {
        if (_options.ConsolePorts.Count == 0)
        {
            return;
        }

        uint ports = DefaultConsolePorts;
        foreach ((uint number, _) in _options.ConsolePorts)
        {
            ports = Math.Max(ports, number + 1);
        }

        ports = _options.Instance is null ? ports : Math.Max(ports, ManagedConsolePorts);
        Add("-device", Invariant($"virtio-serial-pci,id=serial,max_ports={ports},{_slots.Next()}"));
        AddManagement(ports - 1);
        foreach ((uint number, string name) in _options.ConsolePorts)
        {
            Add("-chardev", Invariant($"socket,id=con{number},path={Escape(ConsoleSocket(_socketDirectory, number))}"));
            Add("-device", Invariant($"virtserialport,bus=serial.0,nr={number},chardev=con{number},name={Escape(name)}"));
        }
    }

    /// <summary>The last port speaks the management protocol, and QEMU its own, with whoever connects.</summary>
    private void AddManagement(uint port)
    {
        if (_options.Instance is Instance instance)
        {
            Add("-chardev", $"socket,id=management,path={Escape(instance.ManagementSocket)},server=on,wait=off");
            Add("-device", Invariant($"virtserialport,bus=serial.0,nr={port},chardev=management,name={PortName}"));
            Add("-chardev", $"socket,id=qmp,path={Escape(instance.QmpSocket)},server=on,wait=off", "-mon", "chardev=qmp,mode=control");
        }
    }

    private static string PortName => System.Text.Encoding.ASCII.GetString(Abi.Management.PortName);

    private void AddEntropy() =>
        Add("-object", "rng-random,id=entropy,filename=/dev/urandom", "-device", $"virtio-rng-pci,rng=entropy,{_slots.Next()}");

    private void AddDisks()
    {
        foreach (PlannedDisk disk in _options.Disks)
        {
            DiskNodes nodes = new(disk.Serial);
            Add("-blockdev", nodes.File(disk.Specification).ToJsonString(), "-blockdev", nodes.Format(disk.Specification).ToJsonString());
            AddDiskDevice(disk.Serial, nodes.FormatName);
        }
    }

    private void AddSpareDisks()
    {
        foreach (DiskSlot slot in _options.SpareDisks)
        {
            DiskNodes nodes = new(slot.Serial);
            Add("-blockdev", nodes.Empty(slot.ReadOnly).ToJsonString());
            AddDiskDevice(slot.Serial, nodes.EmptyName);
        }
    }

    private void AddDiskDevice(string serial, string node) =>
        Add("-device", Invariant($"virtio-blk-pci,id={serial},drive={node},serial={serial},{_slots.Next()}"));

    private void AddNics()
    {
        for (int i = 0; i < _options.Nics; i++)
        {
            string forwards = string.Empty;
            foreach (PortForward forward in i == 0 ? _options.Forwards : [])
            {
                forwards += Invariant($",hostfwd=tcp:127.0.0.1:{forward.HostPort}-{forward.GuestAddress}:{forward.GuestPort}");
            }

            Add("-netdev", Invariant($"user,id=net{i}{forwards}"), "-device", Invariant($"virtio-net-pci,id=nic{i},netdev=net{i},{_slots.Next()}"));
        }
    }

    /// <summary>The last device, so that the others have the same addresses as without it.</summary>
    private void AddBootDisk()
    {
        if (_options.BootDisk is not string path)
        {
            return;
        }

        JsonObject node = new()
        {
            ["driver"] = "raw",
            ["node-name"] = "boot",
            ["read-only"] = true,
            ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = path, ["read-only"] = true },
        };
        Add("-blockdev", node.ToJsonString(), "-device", $"virtio-blk-pci,drive=boot,bootindex=0,{_slots.Next()}");
    }

    private void AddShare()
    {
        if (_options.SharedDirectory is string directory)
        {
            Add("-fsdev", $"local,id=share,path={Escape(directory)},security_model=none");
            Add("-device", $"virtio-9p-pci,fsdev=share,mount_tag=job,{_slots.Next()}");
        }
    }
}
