namespace Blanket.Kernel.Guests;

/// <summary>Where a configured guest is in its life.</summary>
internal enum GuestState : byte
{
    /// <summary>Has no domain: not started yet, or ended for good.</summary>
    Stopped,

    /// <summary>Has no domain yet: its start waits for memory.</summary>
    Waiting,

    /// <summary>Is being built, and has no domain yet or one that does not run yet.</summary>
    Starting,

    /// <summary>Has a domain that may run.</summary>
    Running,

    /// <summary>Its domain stopped by itself and waits for what is to be done about it.</summary>
    Ended,

    /// <summary>Its domain is being torn down.</summary>
    Destroying,

    /// <summary>Its domain ended and is kept to be looked at (on_crash="preserve").</summary>
    Preserved,
}
