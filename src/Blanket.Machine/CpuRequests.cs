using System.Threading;

namespace Blanket.Machine;

/// <summary>Requests that other CPUs make of this one and wait for.</summary>
public static unsafe class CpuRequests
{
#if METAL
    /// <summary>Answers what is pending for this CPU; called by the interrupt and while waiting for a lock.</summary>
    public static void Service()
    {
        CpuBlock* block = Cpu.CurrentBlock();
        if (Volatile.Read(ref block->FlushRequested) != 0)
        {
            Cpu.WriteCr3(Cpu.ReadCr3());
            Volatile.Write(ref block->FlushRequested, 0u);
        }
    }
#else
    /// <summary>Nothing to answer in host tests.</summary>
    public static void Service()
    {
    }
#endif
}
