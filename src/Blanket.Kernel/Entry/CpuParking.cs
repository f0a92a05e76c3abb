using System.Threading;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>Holds all CPUs but one at the point between other work, where they hold no lock and use no device.</summary>
internal static class CpuParking
{
    private static int s_isWanted;
    private static int s_parked;

    /// <summary>Waits until all other CPUs stand; called between other work.</summary>
    internal static void ParkOthers()
    {
        Volatile.Write(ref s_isWanted, 1);
        for (int cpu = 0; cpu < Processors.Count; cpu++)
        {
            if (cpu != Cpu.Number && Processors.IsOnline(cpu))
            {
                CpuRequests.Prompt(cpu);
            }
        }

        while (Volatile.Read(ref s_parked) != Processors.OnlineCount - 1)
        {
            CpuRequests.Service();
            Cpu.Pause();
        }
    }

    /// <summary>Lets them go, and waits until they have.</summary>
    internal static void ReleaseOthers()
    {
        Volatile.Write(ref s_isWanted, 0);
        while (Volatile.Read(ref s_parked) != 0)
        {
            CpuRequests.Service();
            Cpu.Pause();
        }
    }

    /// <summary>Stands here while another CPU wants that.</summary>
    internal static void ParkIfWanted()
    {
        if (Volatile.Read(ref s_isWanted) == 0)
        {
            return;
        }

        Interlocked.Increment(ref s_parked);
        while (Volatile.Read(ref s_isWanted) != 0)
        {
            CpuRequests.Service();
            Cpu.Pause();
        }

        XenSuspend.ResumeThisCpu();
        Interlocked.Decrement(ref s_parked);
    }
}
