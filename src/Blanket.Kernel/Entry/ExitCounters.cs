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
}
