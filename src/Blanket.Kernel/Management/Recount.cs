using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Entry;
using Blanket.Kernel.Guests;
using Blanket.Machine;

namespace Blanket.Kernel.Management;

/// <summary>
/// Recounts all references and types of frames, and all uses of grants, from who holds them (<see cref="MemoryAudit"/>), while the other CPUs stand
/// between two handlers: on request, and with the boot option <c>recount=MS</c> again and again while guests run.
/// </summary>
internal static class Recount
{
    private const ulong NsPerMs = 1_000_000;

    private static RecountTimer? s_timer;
    private static ulong s_interval;
    private static bool s_isDue;
    private static ulong s_rounds;
    private static ulong s_differences;

    /// <summary>Recounts every so many ms from now on; 0 for on request only. Once at boot, in an allocation scope.</summary>
    internal static void Initialize(ulong interval)
    {
        s_timer = new RecountTimer();
        s_interval = interval * NsPerMs;
        Arm();
    }

    /// <summary>Recounts if it is time; on the CPU of <see cref="GuestManager"/>, between other work.</summary>
    internal static void Process()
    {
        if (s_isDue)
        {
            s_isDue = false;
            Run();
            Arm();
        }
    }

    /// <summary>Recounts now and logs differences as the event <c>recount-difference</c>.</summary>
    internal static void Run()
    {
        CpuParking.ParkOthers();
        int differences = MemoryAudit.Run(default, default);
        CpuParking.ReleaseOthers();
        s_rounds++;
        s_differences += (uint)differences;
        if (differences != 0)
        {
            Log.Line("event recount-difference round="u8).Decimal(s_rounds).Text(" count="u8).Decimal((uint)differences).End();
        }
    }

    /// <summary>Recounts once more and logs, as the event <c>recount</c>, how often that was done and what it showed.</summary>
    internal static void Report()
    {
        Run();
        Log.Line("event recount rounds="u8).Decimal(s_rounds).Text(" differences="u8).Decimal(s_differences).End();
    }

    /// <summary>The same at the end of the machine, if recounts were asked for.</summary>
    internal static void ReportEnd()
    {
        if (s_interval != 0)
        {
            Report();
        }
    }

    private static void Arm()
    {
        if (s_interval != 0)
        {
            Scheduler.Arm(s_timer!, SystemTime.Now + s_interval);
        }
    }

    private sealed class RecountTimer : Timer
    {
        public override void Expired()
        {
            s_isDue = true;
            GuestManager.Wake();
        }
    }
}
