namespace Blanket.Machine;

/// <summary>
/// The time as this CPU last read it, ns since boot. Where L0 emulates the TSC, each reading (<see cref="SystemTime.Now"/>) is an exit to it; this is for
/// those that need not know it exactly.
/// </summary>
public static unsafe class CpuTime
{
    /// <summary>
    /// What the work loop knows: not older than the CPU's last wait for an interrupt, nor than the last time at which something on it was due.
    /// </summary>
#if METAL
    public static ulong Last => Cpu.CurrentBlock()->KnownTime;
#else
    public static ulong Last => SystemTime.Now;
#endif

    /// <summary>Now, or in the first round of work after a wait for an interrupt, when that ended.</summary>
#if METAL
    public static ulong SinceWait
    {
        get
        {
            CpuBlock* block = Cpu.CurrentBlock();
            return block->IsAfterWait != 0 ? block->KnownTime : SystemTime.Now;
        }
    }

    /// <summary>Reads the time; for the work loop, which knows it from here on.</summary>
    public static ulong Read()
    {
        CpuBlock* block = Cpu.CurrentBlock();
        L0Counters.Count(L0Request.Time);
        block->KnownTime = SystemTime.Now;
        block->IsAfterWait = 0;
        return block->KnownTime;
    }

    /// <summary>The same, when a wait for an interrupt has ended: until the next reading this is the time that vCPUs wake at.</summary>
    public static void EndWait()
    {
        Read();
        Cpu.CurrentBlock()->IsAfterWait = 1;
    }
#else
    public static ulong SinceWait => SystemTime.Now;
#endif
}
