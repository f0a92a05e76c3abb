namespace Blanket.Machine;

/// <summary>What a CPU of the hypervisor does that L0 has to see to, each an exit to it.</summary>
public enum L0Request
{
    /// <summary>An event was sent to a backend of L0's.</summary>
    Event,

    /// <summary>The timer was set.</summary>
    Timer,

    /// <summary>An interrupt was acknowledged; no exit where L0 lets the processor do that.</summary>
    Acknowledgement,

    /// <summary>The CPU waited for an interrupt.</summary>
    Wait,

    /// <summary>The work loop read the time; an exit where L0 emulates the TSC only.</summary>
    Time,
}
