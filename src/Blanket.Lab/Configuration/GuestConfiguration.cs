using System;
using System.Collections.Generic;
using Blanket.Abi;

namespace Blanket.Lab.Configuration;

/// <summary>A guest as its configuration file describes it, checked.</summary>
public sealed record GuestConfiguration
{
    /// <summary>Where the name was set; errors about the guest as a whole point here.</summary>
    public required SourceLine Source { get; init; }

    /// <summary>The name (<see cref="GuestName"/>).</summary>
    public required string Name { get; init; }

    /// <summary>The domain handle.</summary>
    public required Guid Uuid { get; init; }

    /// <summary>Memory at start in MiB.</summary>
    public required long MemoryMiB { get; init; }

    /// <summary>Most memory ever in MiB.</summary>
    public required long MaximumMemoryMiB { get; init; }

    /// <summary>Memory that the guest keeps when others need some, in MiB.</summary>
    public required long MinimumMemoryMiB { get; init; }

    /// <summary>Virtual CPUs at start.</summary>
    public required int Vcpus { get; init; }

    /// <summary>Most virtual CPUs ever.</summary>
    public required int MaximumVcpus { get; init; }

    /// <summary>Absolute path of the kernel.</summary>
    public required string Kernel { get; init; }

    /// <summary>Where the kernel was set.</summary>
    public required SourceLine KernelSource { get; init; }

    /// <summary>Absolute path of the ramdisk, or null.</summary>
    public string? Ramdisk { get; init; }

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = string.Empty;

    /// <summary>What becomes of the guest when it powers off.</summary>
    public BootBundleAction OnPoweroff { get; init; } = BootBundleAction.Destroy;

    /// <summary>What becomes of the guest when it reboots.</summary>
    public BootBundleAction OnReboot { get; init; } = BootBundleAction.Restart;

    /// <summary>What becomes of the guest when it crashes.</summary>
    public BootBundleAction OnCrash { get; init; } = BootBundleAction.Destroy;

    /// <summary>What becomes of the guest when its watchdog fires.</summary>
    public BootBundleAction OnWatchdog { get; init; } = BootBundleAction.Destroy;

    /// <summary>Scheduler weight.</summary>
    public uint Weight { get; init; } = BootBundle.DefaultWeight;

    /// <summary>Most CPU time in percent of one CPU, or 0.</summary>
    public uint Cap { get; init; }

    /// <summary>Empty (any CPU), one set for all virtual CPUs, or one for each of <see cref="MaximumVcpus"/>.</summary>
    public IReadOnlyList<CpuSet> Affinities { get; init; } = [];

    /// <summary>The disks in their order.</summary>
    public IReadOnlyList<DiskSpecification> Disks { get; init; } = [];

    /// <summary>The vifs in their order.</summary>
    public IReadOnlyList<VifSpecification> Vifs { get; init; } = [];
}
