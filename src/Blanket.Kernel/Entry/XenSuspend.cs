using Blanket.Kernel.Guests;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>
/// The machine stands still while L0 saves or migrates it, and goes on in a new domain: memory and processors are as they were, all that
/// L0 gave the domain is gone (xen/include/public/sched.h, SHUTDOWN_suspend). Guests see a pause.
/// </summary>
internal static class XenSuspend
{
    private static bool s_isRestored;

    /// <summary>Suspends, and makes everything anew when it was a new domain that went on; between other work, on CPU 0.</summary>
    internal static void Run()
    {
        Log.Line("xen: L0 suspends the machine"u8).End();
        CpuParking.ParkOthers();
        s_isRestored = XenPlatform.Suspend();
        if (s_isRestored)
        {
            TimerDevice.Forget();
            XenPlatform.ResumeTransport();
        }

        CpuParking.ReleaseOthers();
        if (s_isRestored)
        {
            XenPlatform.ResumeDevices();
            UpdateWallClock();
        }

        Log.Line(s_isRestored ? "xen: L0 goes on with the machine in a new domain"u8 : "xen: L0 goes on with the machine"u8).End();
    }

    /// <summary>Has this CPU receive events again; on each CPU but the one that suspended.</summary>
    internal static void ResumeThisCpu()
    {
        if (s_isRestored)
        {
            TimerDevice.Forget();
            XenPlatform.InitializeThisCpu();
        }
    }

    private static void UpdateWallClock()
    {
        if (XenPlatform.TryReadClock(out _, out ulong wallClock))
        {
            SystemTime.WallClockBase = wallClock - SystemTime.Now;
            GuestManager.TellWallClock();
        }
    }
}
