using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>How often guests came in for what, a CPU: exceptions by vector; for the bench and for debugging.</summary>
internal static unsafe class ExitCounters
{
    private const uint Counters = 64;

    /// <summary>Counts one entry.</summary>
    internal static void Count(uint cause)
    {
        if (cause < Counters)
        {
            CpuBlockAccess.Current->Exits[cause]++;
        }
    }

    /// <summary>Logs what this CPU has counted.</summary>
    internal static void LogAll()
    {
        for (uint cause = 0; cause < Counters; cause++)
        {
            ulong count = CpuBlockAccess.Current->Exits[cause];
            if (count != 0)
            {
                Log.Line("CPU "u8).Decimal((uint)Cpu.Number).Text(" vector "u8).Decimal(cause).Text(": "u8).Decimal(count).End();
            }
        }

        Log.Line("CPU "u8).Decimal((uint)Cpu.Number).Text(" asked L0: events sent "u8).Decimal(L0Counters.Read(L0Request.Event))
            .Text(", timer set "u8).Decimal(L0Counters.Read(L0Request.Timer))
            .Text(", interrupts acknowledged "u8).Decimal(L0Counters.Read(L0Request.Acknowledgement))
            .Text(", waits "u8).Decimal(L0Counters.Read(L0Request.Wait))
            .Text(", time read by the work loop "u8).Decimal(L0Counters.Read(L0Request.Time)).End();
    }
}
