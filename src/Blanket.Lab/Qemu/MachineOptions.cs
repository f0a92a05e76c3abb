using System.Collections.Generic;
using Blanket.Lab.Bundles;
using Blanket.Lab.Instances;

namespace Blanket.Lab.Qemu;

/// <summary>An L0 machine: a QEMU virtual machine with virtio devices, as a KVM cloud offers it.</summary>
public sealed record MachineOptions
{
    /// <summary>Path of blanket.elf or of a Linux kernel; QEMU boots it unless there is firmware.</summary>
    public required string Kernel { get; init; }

    /// <summary>What boots the machine. Firmware boots from <see cref="BootDisk"/>, which has kernel, module and command line.</summary>
    public Firmware Firmware { get; init; }

    /// <summary>Path of the raw disk image that firmware boots from; it is not written to. Null without firmware.</summary>
    public string? BootDisk { get; init; }

    /// <summary>Path of the boot bundle, or of a ramdisk; null for none.</summary>
    public string? Module { get; init; }

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = string.Empty;

    /// <summary>How CPUs are run.</summary>
    public required Accelerator Accelerator { get; init; }

    /// <summary>QEMU's machine type: q35 or pc.</summary>
    public string MachineType { get; init; } = "q35";

    /// <summary>Memory in MiB.</summary>
    public required long MemoryMiB { get; init; }

    /// <summary>Number of CPUs.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>Disks, in the order of PCI addresses.</summary>
    public IReadOnlyList<PlannedDisk> Disks { get; init; } = [];

    /// <summary>Empty disk devices for guests that are started later.</summary>
    public IReadOnlyList<DiskSlot> SpareDisks { get; init; } = [];

    /// <summary>Number of NICs, each with a network of its own.</summary>
    public int Nics { get; init; }

    /// <summary>Ports of the host that lead to the first NIC's network.</summary>
    public IReadOnlyList<PortForward> Forwards { get; init; } = [];

    /// <summary>Ports of the virtio console device: number, name.</summary>
    public IReadOnlyList<(uint Number, string Name)> ConsolePorts { get; init; } = [];

    /// <summary>Where other commands find the machine; null when they are not to.</summary>
    public Instance? Instance { get; init; }

    /// <summary>A directory of the host that the machine may mount by 9P under the tag <c>job</c>; null for none.</summary>
    public string? SharedDirectory { get; init; }

    /// <summary>QEMU waits for gdb on this TCP port of the loopback address; null for no gdb.</summary>
    public int? GdbPort { get; init; }

    /// <summary>Further arguments of QEMU's, last.</summary>
    public IReadOnlyList<string> ExtraArguments { get; init; } = [];
}
