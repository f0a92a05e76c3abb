namespace Blanket.Core.Domains;

public sealed partial class Vcpu
{
    /// <summary>CR4 as the guest sees it (<see cref="Processor.ControlRegisters"/>).</summary>
    public ulong GuestCr4 { get; internal set; }

    /// <summary>XCR0 as the guest has set it.</summary>
    public ulong GuestXcr0 { get; internal set; } = Processor.ExtendedState.X87AndSse;

    /// <summary>DR7 as the guest sees it, without <see cref="EmulatedDebugControl"/>.</summary>
    internal ulong DebugControl { get; set; }

    /// <summary>Bits 0-7 of DR7 for I/O breakpoints, which the hypervisor checks itself when it emulates port I/O.</summary>
    internal ulong EmulatedDebugControl { get; set; }
}
