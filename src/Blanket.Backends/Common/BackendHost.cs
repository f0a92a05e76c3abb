using Blanket.Core.Domains;

namespace Blanket.Backends;

/// <summary>What the backends need of the hypervisor around them. Called from any handler, with no lock of the backends held.</summary>
public abstract class BackendHost
{
    /// <summary>Nanoseconds of a clock that never goes back.</summary>
    public abstract ulong Now { get; }

    /// <summary>
    /// The same as this CPU last knew it, which costs nothing: at most so much older as nothing was due on it. It may be less than another CPU's.
    /// </summary>
    public abstract ulong LastKnown { get; }

    /// <summary>There is work: <see cref="BackendBus.Process"/> is to be called soon on this CPU, not from within this call.</summary>
    public abstract void WorkArrived();

    /// <summary>
    /// <see cref="BackendBus.Process"/> is to be called at a time of <see cref="Now"/> or soon after. A later call with an
    /// earlier time wins; a call with a later time may be forgotten, since Process asks again for what is still to come.
    /// </summary>
    public abstract void WakeAt(ulong nanoseconds);

    /// <summary>Whether something waits for this CPU that goes before the backends' work: an interrupt, a timer, another CPU.</summary>
    public abstract bool MustGiveWay { get; }

    /// <summary>Work was put off on this CPU: <see cref="BackendBus.TakeTurn"/> is to be called there, as soon as nothing else goes before it.</summary>
    public abstract void WorkPutOff();

    /// <summary>The guest whose event is being worked on, on this CPU; null while nothing is done for one guest alone.</summary>
    public abstract Domain? Served { get; }

    /// <summary>Whether this CPU belongs to a vCPU of another guest just now, so that what is done for this one takes that one's time.</summary>
    public abstract bool IsInTimeOfAnother(Domain guest);

    /// <summary>A guest pays for a span of this CPU's time (<see cref="Now"/>) instead of the one whose vCPU the CPU belongs to.</summary>
    public abstract void Charge(Domain guest, ulong from, ulong until);

    /// <summary>Takes xenstore's lock.</summary>
    public abstract void LockStore();

    /// <summary>Gives xenstore's lock back.</summary>
    public abstract void UnlockStore();
}
