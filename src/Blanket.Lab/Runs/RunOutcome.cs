namespace Blanket.Lab.Runs;

/// <summary>How a run ended.</summary>
public enum RunOutcome
{
    /// <summary>Every guest powered off by itself.</summary>
    Success,

    /// <summary>A guest crashed.</summary>
    GuestCrashed,

    /// <summary>Blanket panicked, or the machine ended before its guests.</summary>
    BlanketPanicked,

    /// <summary>The time was over.</summary>
    TimedOut,
}
