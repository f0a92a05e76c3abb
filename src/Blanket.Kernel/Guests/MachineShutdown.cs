using System.Threading;
using Blanket.Abi;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Management;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>L0 wants the machine to end: guests shut down in order first, and none is started again. One that does not within a minute is ended.</summary>
internal static class MachineShutdown
{
    private const ulong Patience = 60_000_000_000;

    private static PatienceTimer? s_timer;
    private static int s_isWanted;
    private static bool s_reboots;
    private static ulong s_end;

    /// <summary>Whether guests are shutting down for the machine.</summary>
    internal static bool IsUnderWay { get; private set; }

    /// <summary>Once at boot, in an allocation scope.</summary>
    internal static void Create() => s_timer = new PatienceTimer();

    /// <summary>Asks for it; from any CPU. What was asked for first counts.</summary>
    internal static void Request(bool reboots)
    {
        if (Interlocked.CompareExchange(ref s_isWanted, 1, 0) == 0)
        {
            s_reboots = reboots;
            GuestManager.Wake();
        }
    }

    /// <summary>Goes on with it; on the guests' CPU.</summary>
    internal static void Process()
    {
        if (Volatile.Read(ref s_isWanted) == 0)
        {
            return;
        }

        if (!IsUnderWay)
        {
            IsUnderWay = true;
            s_end = SystemTime.Now + Patience;
            Log.Line("L0 wants the machine to "u8).Text(s_reboots ? "reboot"u8 : "power off"u8).Text(": guests shut down"u8).End();
            AskGuests();
            Scheduler.Arm(s_timer!, s_end);
        }
        else if (SystemTime.Now >= s_end)
        {
            EndGuests();
        }
    }

    /// <summary>Ends the machine as it was asked for, or by power-off.</summary>
    internal static void EndMachine()
    {
        if (IsUnderWay && s_reboots)
        {
            PowerControl.Reset();
        }

        PowerControl.PowerOff();
    }

    private static void AskGuests()
    {
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest == null || !guest.IsConfigured)
            {
                continue;
            }

            guest.StartsAgain = false;
            if (guest.State is GuestState.Preserved or GuestState.Waiting or GuestState.Starting)
            {
                GuestManager.Destroy(guest);
            }
            else if (guest.State == GuestState.Running)
            {
                if (guest.IsPaused)
                {
                    GuestControl.Change(guest, ManagementCommand.Unpause, 0);
                }

                GuestControl.Change(guest, ManagementCommand.PowerOff, 0);
            }
        }
    }

    private static void EndGuests()
    {
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest != null && guest.IsConfigured)
            {
                GuestManager.Destroy(guest);
            }
        }
    }

    private sealed class PatienceTimer : Timer
    {
        public override void Expired() => GuestManager.Wake();
    }
}
