namespace Blanket.Machine;

/// <summary>What runs when an interrupt vector arrives: in C# with interrupts disabled, on the CPU it was sent to, never nested.</summary>
public abstract class InterruptHandler
{
    /// <summary>Does the work of the interrupt; the local APIC has been acknowledged.</summary>
    public abstract void Handle();
}
