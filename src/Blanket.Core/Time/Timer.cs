using System.Threading;

namespace Blanket.Core.Time;

/// <summary>Something that happens at a time, on the CPU that armed it (<see cref="Scheduling.Scheduler.Arm"/>).</summary>
public abstract class Timer
{
    internal const int NotQueued = -1;

    /// <summary>Its place in the heap, <see cref="NotQueued"/> when not armed.</summary>
    internal int HeapIndex = NotQueued;

    /// <summary>The queue that it waits in; null when not armed. Changed under that queue's lock.</summary>
    internal TimerQueue? Queue;

    /// <summary>1 while a queue has it: of several CPUs that arm it at the same time, one gets it first.</summary>
    internal int IsClaimed;

    /// <summary>When it expires, ns since boot.</summary>
    public ulong Deadline { get; internal set; }

    /// <summary>Whether it waits to expire.</summary>
    public bool IsArmed => Volatile.Read(ref Queue) != null;

    /// <summary>Called once at or after the deadline, on the CPU of its queue; may arm it again.</summary>
    public abstract void Expired();
}
