namespace Blanket.Kernel.Guests;

/// <summary>What has to happen next in the teardown of a domain, in order.</summary>
internal enum TeardownStep : byte
{
    /// <summary>Wait until no CPU runs its vCPUs or holds their state; then stop its timers.</summary>
    Vcpus,

    /// <summary>Tell its devices to let go.</summary>
    Devices,

    /// <summary>Wait for requests in flight: L0 may still read or write its frames.</summary>
    Requests,

    /// <summary>Close its event channels.</summary>
    Events,

    /// <summary>Undo its page tables and free its memory, scrubbed.</summary>
    Memory,

    /// <summary>Give back its grants, in both directions, and the pages that it shared with the hypervisor.</summary>
    Grants,

    /// <summary>Wait for others to let go of its frames.</summary>
    Frames,

    /// <summary>Make it unfindable.</summary>
    Records,

    /// <summary>Wait until no CPU can still use what it found before; then free what the hypervisor knew of it.</summary>
    GracePeriod,
}
