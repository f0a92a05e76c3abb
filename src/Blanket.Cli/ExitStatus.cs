using Blanket.Lab.Runs;

namespace Blanket.Cli;

/// <summary>Exit statuses of the command; scripts rely on them.</summary>
internal static class ExitStatus
{
    /// <summary>Done; for a run: every guest powered off by itself.</summary>
    internal const int Success = 0;

    /// <summary>This machine lacks something, or a program of it failed.</summary>
    internal const int HostFailure = 1;

    /// <summary>Usage or bad input; nothing was done.</summary>
    internal const int BadInput = 2;

    /// <summary>A guest crashed.</summary>
    internal const int GuestCrashed = 3;

    /// <summary>Blanket panicked.</summary>
    internal const int BlanketPanicked = 4;

    /// <summary>Time-out.</summary>
    internal const int TimedOut = 5;

    /// <summary>Ended by the user: 128 and SIGINT.</summary>
    internal const int Interrupted = 130;

    /// <summary>The exit status that tells an outcome.</summary>
    internal static int Of(RunOutcome outcome) => outcome switch
    {
        RunOutcome.Success => Success,
        RunOutcome.GuestCrashed => GuestCrashed,
        RunOutcome.TimedOut => TimedOut,
        _ => BlanketPanicked,
    };
}
