using System;
using System.Collections.Generic;
using System.Linq;

namespace Blanket.Lab.Runs;

/// <summary>What is known of a run from its events: the guests that run, and how it has to be judged.</summary>
public sealed class RunState
{
    private readonly SortedSet<string> _running = new(StringComparer.Ordinal);
    private readonly List<string> _crashed = [];
    private bool _allGuestsDone;
    private bool _machineEnded;
    private bool _timedOut;

    /// <summary>Guests that started and did not stop.</summary>
    public IReadOnlyCollection<string> Running => _running;

    /// <summary>Guests that crashed, in the order of their crashes.</summary>
    public IReadOnlyList<string> Crashed => _crashed;

    /// <summary>The panic's message, or null.</summary>
    public string? PanicMessage { get; private set; }

    /// <summary>Whether no guest is left and the machine is about to power off.</summary>
    public bool AllGuestsDone => _allGuestsDone;

    /// <summary>Whether nothing can change the outcome any more but time: the machine may be ended after a short grace.</summary>
    public bool IsOver => _allGuestsDone || PanicMessage is not null || _machineEnded || _timedOut;

    /// <summary>
    /// The judgement once the run is over. A panic counts more than the end of the time, because a machine that has panicked may
    /// well hang; the end of the time counts more than a crash, because other guests were not done.
    /// </summary>
    public RunOutcome Outcome =>
        PanicMessage is not null ? RunOutcome.BlanketPanicked
        : _timedOut && !_allGuestsDone ? RunOutcome.TimedOut
        : !_allGuestsDone ? RunOutcome.BlanketPanicked
        : _crashed.Count > 0 ? RunOutcome.GuestCrashed
        : RunOutcome.Success;

    /// <summary>One sentence for the user.</summary>
    public string Summary => Outcome switch
    {
        RunOutcome.Success => "every guest powered off",
        RunOutcome.GuestCrashed => $"crashed: {string.Join(", ", _crashed.Distinct())}",
        RunOutcome.TimedOut => _running.Count > 0 ? $"time-out; still running: {string.Join(", ", _running)}" : "time-out before a guest started",
        _ when PanicMessage is not null => $"Blanket panicked: {PanicMessage}",
        _ => "the machine ended before its guests were done",
    };

    /// <summary>Takes an event of the log into account; unknown ones are ignored.</summary>
    public void Apply(RunEvent happening)
    {
        string guest = happening["name"];
        switch (happening.Name)
        {
            case RunEvent.GuestStart:
                _running.Add(guest);
                break;
            case RunEvent.GuestPoweroff or RunEvent.GuestReboot or RunEvent.GuestDestroy:
                _running.Remove(guest);
                break;
            case RunEvent.GuestCrash:
                _running.Remove(guest);
                _crashed.Add(guest);
                break;
            case RunEvent.Panic:
                PanicMessage ??= happening["message"];
                break;
            case RunEvent.AllGuestsDone:
                _allGuestsDone = true;
                break;
        }
    }

    /// <summary>QEMU ended.</summary>
    public void MachineEnded() => _machineEnded = true;

    /// <summary>The time that the user gave is over.</summary>
    public void TimeIsOver() => _timedOut = true;
}
