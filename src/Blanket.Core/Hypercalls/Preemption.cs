namespace Blanket.Core.Hypercalls;

/// <summary>Whether a long operation should stop at a consistent point and ask for a restart.</summary>
public static class Preemption
{
    /// <summary>Operations between two checks that loops of guest-chosen length may do.</summary>
    public const int CheckInterval = 64;

    /// <summary>True when an interrupt, a timer or another CPU waits for this CPU. Cheap; check it every few dozen steps.</summary>
    public static bool IsNeeded => Machine.PendingWork.Exists;
}
