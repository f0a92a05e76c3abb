namespace Blanket.Machine;

/// <summary>Counts what a CPU asks of L0. Only what is an exit to L0 anyway, or may be one, is counted: next to that, counting costs nothing.</summary>
public static unsafe class L0Counters
{
#if METAL
    /// <summary>Counts one on this CPU.</summary>
    public static void Count(L0Request request) => Cpu.CurrentBlock()->L0Requests[(int)request]++;

    /// <summary>What this CPU has counted.</summary>
    public static ulong Read(L0Request request) => Cpu.CurrentBlock()->L0Requests[(int)request];
#else
    /// <summary>Nothing: there is no L0.</summary>
    public static void Count(L0Request request)
    {
    }
#endif
}
