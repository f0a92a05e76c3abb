namespace Blanket.Drivers.Xen;

/// <summary>What drivers for Xen's PV devices use of the Xen underneath; made once at boot.</summary>
public sealed class XenTransport(
    XenHypercalls hypercalls, GrantAccess grants, EventPorts events, XenbusStore store, InterruptAllocator interrupts)
{
    /// <summary>Calls to Xen.</summary>
    public XenHypercalls Hypercalls => hypercalls;

    /// <summary>Grants of L1's memory to backends.</summary>
    public GrantAccess Grants => grants;

    /// <summary>Event channels to backends.</summary>
    public EventPorts Events => events;

    /// <summary>L0's xenstore.</summary>
    public XenbusStore Store => store;

    /// <summary>CPUs, and later work on one (<see cref="InterruptAllocator.RunLater"/>).</summary>
    public InterruptAllocator Interrupts => interrupts;
}
