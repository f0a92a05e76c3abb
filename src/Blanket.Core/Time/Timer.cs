namespace Blanket.Core.Time;

/// <summary>Something that happens at a time. Belongs to at most one <see cref="TimerQueue"/>.</summary>
public abstract class Timer
{
    internal const int NotQueued = -1;

    /// <summary>Its place in the heap, <see cref="NotQueued"/> when not armed.</summary>
    internal int HeapIndex = NotQueued;

    /// <summary>When it expires, ns since boot.</summary>
    public ulong Deadline { get; internal set; }

    /// <summary>Whether it waits to expire.</summary>
    public bool IsArmed => HeapIndex != NotQueued;

    /// <summary>Called once at or after the deadline, on the CPU of its queue; may arm it again.</summary>
    public abstract void Expired();
}
