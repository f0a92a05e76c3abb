using Blanket.Abi;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>
/// How guests come to their domains: memory is claimed, the domain is built in turns, whoever waits is told by an event in the log, and what it was
/// built of is freed when it will not be needed again. On the guests' CPU.
/// </summary>
internal static class GuestStarts
{
    /// <summary>Has a guest built in the next turns, or has it wait for memory; in that case, once more when there is news.</summary>
    internal static void Begin(Guest guest)
    {
        switch (MemoryBalancer.Claim(guest))
        {
            case MemoryClaim.Waits:
                guest.State = GuestState.Waiting;
                break;
            case MemoryClaim.Granted:
                guest.IsPaused = false;
                guest.Target = guest.Wish = guest.Record.MemoryKiB * 1024 >> Cpu.PageShift;
                guest.Floor = guest.Record.MinimumMemoryKiB * 1024 >> Cpu.PageShift;
                guest.Start = default;
                guest.State = GuestState.Starting;
                guest.AwaitsTurn = true;
                GuestManager.LongWork.Request();
                break;
            default:
                guest.StartsAgain = false;
                guest.State = GuestState.Stopped;
                ReportRefusal(guest);
                guest.IsNew = false;
                ReleaseBundle(guest);
                break;
        }
    }

    /// <summary>Goes on with a start, until something waits for this CPU.</summary>
    internal static void GoOn(Guest guest)
    {
        StartResult result = GuestBuilder.Run(guest);
        if (result == StartResult.Unfinished)
        {
            guest.AwaitsTurn = true;
            return;
        }

        MemoryBalancer.EndClaim();
        if (result == StartResult.Done)
        {
            ReportStart(guest);
        }
        else
        {
            guest.StartsAgain = false;
            ReportRefusal(guest);
            End(guest);
        }

        guest.IsNew = false;
        ReleaseBundle(guest);
    }

    /// <summary>A start that waits for memory, or is under way, is not wanted any more.</summary>
    internal static void Cancel(Guest guest)
    {
        if (guest.State == GuestState.Waiting)
        {
            MemoryBalancer.Cancel(guest);
        }
        else
        {
            GuestBuilder.Abandon(guest);
            guest.AwaitsTurn = false;
            MemoryBalancer.EndClaim();
        }

        End(guest);
    }

    /// <summary>Whether a guest that stopped is started again for an action.</summary>
    internal static bool StartsAgain(BootBundleAction action) =>
        action is BootBundleAction.Restart or BootBundleAction.CoredumpRestart or BootBundleAction.RenameRestart;

    /// <summary>Its start came to nothing, or is not wanted any more.</summary>
    private static void End(Guest guest)
    {
        if (guest.Domain != null)
        {
            GuestTeardown.Begin(guest);
        }
        else
        {
            guest.State = GuestState.Stopped;
            GuestManager.End(guest);
            GuestManager.Wake();
        }
    }

    private static void ReportStart(Guest guest) =>
        Log.Line("event guest-start name="u8).Text(guest.Name).Text(" domid="u8).Decimal(guest.Domain!.Id)
            .Text(" at_us="u8).Decimal(SystemTime.Now / 1000)
            .Text(" layer_kib="u8).Decimal(Memory.LayerFrames(CountGuestFrames()) * (Cpu.PageSize / 1024)).End();

    private static ulong CountGuestFrames()
    {
        ulong frames = 0;
        foreach (Guest? guest in GuestManager.Places)
        {
            frames += guest?.Domain?.FrameCount ?? 0;
        }

        return frames;
    }

    // With a new one nothing of what ran is lost: whoever asked is told.
    private static void ReportRefusal(Guest guest) =>
        Log.Line(guest.IsNew ? "event guest-refused name="u8 : "event guest-crash name="u8).Text(guest.Name)
            .Text(guest.IsNew ? ""u8 : " reason=\"it could not be started\""u8).End();

    /// <summary>Frees what a guest that will not be built again would have been built of.</summary>
    private static void ReleaseBundle(Guest guest)
    {
        if (!guest.IsTransient)
        {
            ReleaseBootBundle();
        }
        else if (!CanStartAgain(guest))
        {
            guest.Bundle.Free();
        }
    }

    /// <summary>Frees the memory of the boot bundle, which others could use, unless a guest may have to be built of it yet, or again.</summary>
    private static void ReleaseBootBundle()
    {
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest is { IsTransient: false } && (guest.State is GuestState.Waiting or GuestState.Starting || CanStartAgain(guest)))
            {
                return;
            }
        }

        Memory.ReleaseModules();
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest is { IsTransient: false })
            {
                guest.Bundle = default;
            }
        }
    }

    private static bool CanStartAgain(Guest guest)
    {
        ref readonly BootBundleGuest record = ref guest.Record;
        return StartsAgain(record.OnPoweroff) || StartsAgain(record.OnReboot) || StartsAgain(record.OnCrash) || StartsAgain(record.OnWatchdog);
    }
}
