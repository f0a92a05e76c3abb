namespace Blanket.Core.Scheduling;

/// <summary>What a vCPU does, as guests see it (RUNSTATE_* of xen/include/public/vcpu.h).</summary>
public enum RunState
{
    /// <summary>On a CPU.</summary>
    Running = 0,

    /// <summary>Waits for a CPU.</summary>
    Runnable = 1,

    /// <summary>Waits for an event.</summary>
    Blocked = 2,

    /// <summary>Neither: not initialised, taken down or paused.</summary>
    Offline = 3,
}
