using System.Threading;

namespace Blanket.Machine;

/// <summary>Sends this CPU's requests to others; the interrupt controller implements it.</summary>
public abstract class CpuPrompter
{
    /// <summary>Interrupts another CPU, which then looks at its pending work.</summary>
    public abstract void Interrupt(int cpu);
}

/// <summary>Requests that other CPUs make of this one and wait for.</summary>
public static unsafe class CpuRequests
{
    private static CpuPrompter? s_prompter;

    /// <summary>Tells how to interrupt other CPUs; once at boot.</summary>
    public static void Initialize(CpuPrompter prompter) => s_prompter = prompter;

    /// <summary>Makes another CPU look at its pending work; does not wait.</summary>
    public static void Prompt(int cpu)
    {
        if (s_prompter != null)
        {
            s_prompter.Interrupt(cpu);
        }
    }

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
