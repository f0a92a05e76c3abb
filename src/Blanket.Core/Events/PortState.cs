namespace Blanket.Core.Events;

/// <summary>What an event channel port is bound to.</summary>
internal enum PortState : byte
{
    Free,

    /// <summary>Port 0, which is never used.</summary>
    Reserved,

    /// <summary>Waits for a stated domain to bind to it.</summary>
    Unbound,

    /// <summary>Connected to a port of a domain, or to a channel of the built-in services.</summary>
    Interdomain,

    /// <summary>A virtual interrupt.</summary>
    Virq,

    /// <summary>From one vCPU of the domain to another.</summary>
    Ipi,
}
