using System;
using System.Collections.Generic;

namespace Blanket.Lab.Runs;

/// <summary>Events of a Linux kernel that runs in the machine by itself, without Blanket: read from its own messages.</summary>
public static class LinuxLog
{
    private const string PanicText = "Kernel panic - not syncing: ";
    private const string PowerOffText = "reboot: Power down";

    /// <summary>What it says where it has no way to switch off but the hypervisor's.</summary>
    private const string HaltText = "reboot: System halted";

    /// <summary>The events that a line tells.</summary>
    /// <param name="guest">Name to give the kernel.</param>
    /// <param name="line">A line of the kernel's console.</param>
    public static IReadOnlyList<RunEvent> Parse(string guest, string line)
    {
        Dictionary<string, string> values = new(StringComparer.Ordinal) { ["name"] = guest };
        RunEvent done = new(RunEvent.AllGuestsDone, new Dictionary<string, string>());
        int panic = line.IndexOf(PanicText, StringComparison.Ordinal);
        if (panic >= 0 && !line.Contains("end " + PanicText, StringComparison.Ordinal))
        {
            values["reason"] = line[(panic + PanicText.Length)..];
            return [new RunEvent(RunEvent.GuestCrash, values), done];
        }

        return line.Contains(PowerOffText, StringComparison.Ordinal) || line.Contains(HaltText, StringComparison.Ordinal)
            ? [new RunEvent(RunEvent.GuestPoweroff, values), done]
            : [];
    }
}
