using Blanket.Core.Domains;

namespace Blanket.Core.Scheduling;

/// <summary>What run queues ask of the CPUs and the clock around them. Called without their locks, but for <see cref="WakeTime"/>.</summary>
public abstract class RunQueueHost
{
    /// <summary>Has a CPU call <see cref="RunQueue.Choose"/> soon, or at least look at <see cref="RunQueue.SliceEnd"/> again.</summary>
    public abstract void Prompt(int cpu);

    /// <summary>Has <see cref="Scheduler.Resume"/> called for a domain that used up its cap.</summary>
    public abstract void ResumeAt(Domain domain, ulong time);

    /// <summary>When vCPUs that this CPU wakes wake, ns since boot.</summary>
    public abstract ulong WakeTime { get; }

    /// <summary>The queue that a vCPU belongs to by its affinity; null when there is no other.</summary>
    public virtual RunQueue? FindQueue(Vcpu vcpu) => null;
}
