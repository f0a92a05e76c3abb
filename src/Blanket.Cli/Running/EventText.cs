using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>Events of a run in words.</summary>
internal static class EventText
{
    /// <summary>One line for an event; null for one that is for programs only.</summary>
    internal static string? Describe(RunEvent happening) => happening.Name switch
    {
        RunEvent.GuestStart => $"{happening["name"]}: started as domain {happening["domid"]}",
        RunEvent.GuestPoweroff => $"{happening["name"]}: powered off",
        RunEvent.GuestReboot => $"{happening["name"]}: reboots",
        RunEvent.GuestDestroy => $"{happening["name"]}: destroyed",
        RunEvent.GuestCrash => $"{happening["name"]}: crashed: {happening["reason"]}",
        RunEvent.GuestRefused => $"{happening["name"]}: could not be started",
        RunEvent.Audit or RunEvent.GuestGone => null,
        RunEvent.Panic => $"Blanket panicked: {happening["message"]}",
        RunEvent.AllGuestsDone => "no guest is left",
        _ => happening.Name,
    };
}
