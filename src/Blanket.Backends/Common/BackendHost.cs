namespace Blanket.Backends;

/// <summary>What the backends need of the hypervisor around them. Called from any handler, with no lock of the backends held.</summary>
public abstract class BackendHost
{
    /// <summary>Nanoseconds of a clock that never goes back.</summary>
    public abstract ulong Now { get; }

    /// <summary>There is work: <see cref="BackendBus.Process"/> is to be called soon on this CPU, not from within this call.</summary>
    public abstract void WorkArrived();

    /// <summary>
    /// <see cref="BackendBus.Process"/> is to be called at a time of <see cref="Now"/> or soon after. A later call with an
    /// earlier time wins; a call with a later time may be forgotten, since Process asks again for what is still to come.
    /// </summary>
    public abstract void WakeAt(ulong nanoseconds);

    /// <summary>Takes xenstore's lock.</summary>
    public abstract void LockStore();

    /// <summary>Gives xenstore's lock back.</summary>
    public abstract void UnlockStore();
}
