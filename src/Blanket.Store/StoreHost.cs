using System;

namespace Blanket.Store;

/// <summary>What the store needs of the hypervisor around it. Called with the store's lock held.</summary>
public abstract class StoreHost
{
    /// <summary>Nanoseconds of a clock that never goes back.</summary>
    public abstract ulong Now { get; }

    /// <summary>There is work: <see cref="XenStore.Process"/> is to be called soon, not from within this call.</summary>
    public abstract void WorkArrived();

    /// <summary>
    /// A privileged client asks by INTRODUCE to talk to a domain. Creates the ring over that domain's interface page,
    /// connected to its event channel; null when there is no such domain, page or port.
    /// </summary>
    /// <param name="domid">The domain.</param>
    /// <param name="frame">Guest frame number of its interface page, as the client gave it.</param>
    /// <param name="port">The domain's unbound event channel.</param>
    public abstract StoreRing? CreateRing(ushort domid, ulong frame, uint port);

    /// <summary>A privileged client asks by CONTROL to print a text.</summary>
    public abstract void Print(ReadOnlySpan<byte> text);
}
