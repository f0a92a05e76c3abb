namespace Blanket.Machine;

/// <summary>Interrupts that this CPU raises for itself, without the interrupt controller.</summary>
public static unsafe class SoftwareInterrupt
{
#if METAL
    /// <summary>Notes a vector as arrived: its handler runs when the work that waits for this CPU is done next.</summary>
    public static void Raise(byte vector)
    {
        CpuBlock* block = Cpu.CurrentBlock();
        block->PendingVectors[vector >> 6] |= 1UL << (vector & 63);
        PendingWork.Raise();
    }
#else
    /// <summary>The vector that was raised last on this thread, for host tests; -1 for none.</summary>
    [System.ThreadStatic]
    public static int Last;

    /// <summary>Notes the vector for the test.</summary>
    public static void Raise(byte vector)
    {
        Last = vector;
        PendingWork.Raise();
    }
#endif
}
