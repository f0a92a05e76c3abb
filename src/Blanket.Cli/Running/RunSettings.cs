using System;
using System.Collections.Generic;
using Blanket.Lab.Qemu;
using Blanket.Lab.StockXen;

namespace Blanket.Cli.Running;

/// <summary>What the user asked of <c>run</c> or <c>debug</c>.</summary>
internal sealed record RunSettings
{
    /// <summary>Guest configurations; empty for the small guest.</summary>
    internal required IReadOnlyList<string> Guests { get; init; }

    /// <summary>No terminal.</summary>
    internal bool Headless { get; init; }

    /// <summary>Where each guest's console goes as a file, or null.</summary>
    internal string? ConsoleDirectory { get; init; }

    /// <summary>Null for no limit.</summary>
    internal TimeSpan? Timeout { get; init; }

    /// <summary>Memory of the L0 machine, or null for what the guests need.</summary>
    internal long? MemoryMiB { get; init; }

    /// <summary>What is done when a guest needs more memory than is free (docs/management.md, "Memory").</summary>
    internal required string MemoryPolicy { get; init; }

    /// <summary>CPUs of the L0 machine.</summary>
    internal int Cpus { get; init; } = 1;

    /// <summary>How stock Xen runs the L0 machine; null for a KVM-like one.</summary>
    internal XenDomainType? Xen { get; init; }

    /// <summary>QEMU's machine type.</summary>
    internal string MachineType { get; init; } = "q35";

    /// <summary>What boots the L0 machine.</summary>
    internal Firmware Firmware { get; init; }

    /// <summary>Ports of the host that lead to a guest.</summary>
    internal IReadOnlyList<PortForward> Forwards { get; init; } = [];

    /// <summary>Further arguments of QEMU's.</summary>
    internal IReadOnlyList<string> QemuArguments { get; init; } = [];

    /// <summary>Options for Blanket itself.</summary>
    internal string Options { get; init; } = string.Empty;

    /// <summary>Name that other commands find the run by; null for the first free one.</summary>
    internal string? Name { get; init; }

    /// <summary>Blanket goes on when no guest is left.</summary>
    internal bool Stay { get; init; }

    /// <summary>Empty disk devices of the machine for guests that are started later.</summary>
    internal int SpareDisks { get; init; }

    /// <summary>The same, read-only.</summary>
    internal int SpareReadOnlyDisks { get; init; }

    /// <summary>Boot the guest's kernel itself in the L0 machine, without Blanket.</summary>
    internal bool Native { get; init; }
}
