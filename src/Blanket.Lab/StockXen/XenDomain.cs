using Blanket.Lab.Qemu;

namespace Blanket.Lab.StockXen;

/// <summary>How Xen runs a domain.</summary>
public enum XenDomainType
{
    /// <summary>With hardware virtualization and nothing emulated but interrupt controllers.</summary>
    Pvh,

    /// <summary>With hardware virtualization and a device model in dom0 that emulates a PC; it boots from a disk.</summary>
    Hvm,

    /// <summary>Paravirtualized: the kernel has to be made for it.</summary>
    Pv,
}

/// <summary>A virtual machine of a provider who runs stock Xen.</summary>
public sealed record XenDomain
{
    /// <summary>Its name in dom0.</summary>
    public const string Name = "blanket";

    /// <summary>The machine as its user sees it: memory, CPUs, what boots in it. The same properties as with KVM.</summary>
    public required MachineOptions Machine { get; init; }

    /// <summary>How Xen runs it.</summary>
    public XenDomainType Type { get; init; } = XenDomainType.Pvh;

    /// <summary>Path of the disk image that an HVM domain boots from, as <c>hda</c>; its guests' disks begin at <c>xvde</c> then.</summary>
    public string? BootDisk => Machine.BootDisk;

    /// <summary>An HVM domain has its disks as emulated ones behind the boot disk, <c>hdb</c> on, and keeps them.</summary>
    public bool HasEmulatedDisks { get; init; }

    /// <summary>What dom0 does before it starts the domain, besides; nothing for one that is measured.</summary>
    public XenPreparation? Preparation { get; init; }

    /// <summary>
    /// RDTSC is the processor's own (xl.cfg(5), tsc_mode="native"), as on one whose TSC is invariant. The bed's processor does not say so of its own, for
    /// which Xen would emulate each reading.
    /// </summary>
    public bool HasNativeTsc { get; init; }

    /// <summary>Dom0 does nothing while the domain runs and passes its console on afterwards.</summary>
    public bool IsMeasured { get; init; }
}
