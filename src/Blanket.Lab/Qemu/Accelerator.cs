namespace Blanket.Lab.Qemu;

/// <summary>How QEMU runs the machine's CPUs, and why this way.</summary>
/// <param name="IsKvm">Hardware virtualization; otherwise software emulation (TCG).</param>
/// <param name="Reason">A clause that says what the probe saw.</param>
public sealed record Accelerator(bool IsKvm, string Reason)
{
    /// <summary>What a message calls it.</summary>
    public string Name => IsKvm ? "KVM" : "software emulation (TCG)";

    /// <summary>Value of QEMU's option -accel.</summary>
    public string Argument { get; init; } = IsKvm ? "kvm" : "tcg,thread=multi";

    /// <summary>
    /// Value of QEMU's option -cpu. With TCG it is 'max', which has what a Xen guest may look for (SYSCALL, NX, FSGSBASE, XSAVE,
    /// RDRAND), without LA57, whose fifth page-table level no PV guest can use and every TLB miss would walk.
    /// </summary>
    public string CpuModel { get; init; } = IsKvm ? "host" : "max,-la57";
}
