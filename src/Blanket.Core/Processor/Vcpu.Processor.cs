using Blanket.Core.Processor;

namespace Blanket.Core.Domains;

public sealed partial class Vcpu
{
    /// <summary>CR4 as the guest sees it (<see cref="ControlRegisters"/>).</summary>
    public ulong GuestCr4 { get; internal set; }

    /// <summary>XCR0 as the guest has set it; what the CPU has while the vCPU runs.</summary>
    public ulong GuestXcr0 { get; internal set; } = ExtendedState.X87AndSse;

    /// <summary>MSR_TSC_AUX as the guest has set it; what RDTSCP and RDPID read while the vCPU runs.</summary>
    public uint TscAux { get; internal set; }

    /// <summary>Linear address of its I/O bitmap (PHYSDEVOP_set_iobitmap).</summary>
    public ulong IoBitmapAddress { get; internal set; }

    /// <summary>Ports that the bitmap covers, at most 65,536; 0 for none.</summary>
    public uint IoBitmapPorts { get; internal set; }

    /// <summary>DR7 as the guest sees it, without <see cref="EmulatedDebugControl"/>.</summary>
    internal ulong DebugControl { get; set; }

    /// <summary>Bits 0-7 of DR7 for I/O breakpoints, which the hypervisor checks itself when it emulates port I/O.</summary>
    internal ulong EmulatedDebugControl { get; set; }

    /// <summary>MSR_IA32_MCG_STATUS.</summary>
    internal ulong MachineCheckStatus { get; set; }

    /// <summary>MSR_IA32_MCi_CTL2.</summary>
    internal ulong[] MachineCheckControl2 { get; } = new ulong[MachineCheckRegisters.Banks];
}
