using System.Runtime.CompilerServices;
using System.Threading;

namespace Blanket.Machine;

/// <summary>Sends this CPU's requests to others; the interrupt controller implements it.</summary>
public abstract class CpuPrompter
{
    /// <summary>Interrupts another CPU, which then looks at its pending work.</summary>
    public abstract void Interrupt(int cpu);

    /// <summary>Interrupts another CPU, which then answers <see cref="CpuRequests.Service"/> and nothing else.</summary>
    public abstract void InterruptForFlush(int cpu);
}

/// <summary>Requests that CPUs make of each other: to look at pending work, and to flush the TLB, which the asking CPU waits for.</summary>
public static unsafe class CpuRequests
{
    [InlineArray(Cpu.MaximumCpus)]
    private struct Flags
    {
        private uint _first;
    }

    private static CpuPrompter? s_prompter;
    private static Flags s_prompted;

    /// <summary>Tells how to interrupt other CPUs; once at boot.</summary>
    public static void Initialize(CpuPrompter prompter) => s_prompter = prompter;

    /// <summary>Makes another CPU look at its pending work; does not wait. One interrupt serves all prompts until the CPU looks.</summary>
    public static void Prompt(int cpu)
    {
        if (s_prompter != null && Interlocked.Exchange(ref s_prompted[cpu], 1u) == 0)
        {
            s_prompter.Interrupt(cpu);
        }
    }

    /// <summary>This CPU is about to look at its pending work: prompts from here on interrupt it again.</summary>
    public static void BeginWork()
    {
        if (Volatile.Read(ref s_prompted[Cpu.Number]) != 0)
        {
            Interlocked.Exchange(ref s_prompted[Cpu.Number], 0u);
        }
    }

#if METAL
    [InlineArray(Cpu.MaximumCpus)]
    private struct Blocks
    {
        private ulong _first;
    }

    private static Blocks s_blocks;

    /// <summary>Tells other CPUs where this CPU's block is; once a CPU, before it holds translations of a guest.</summary>
    internal static void Register(CpuBlock* block) => Volatile.Write(ref s_blocks[block->CpuNumber], (ulong)block);

    /// <summary>Asks another CPU to flush its whole TLB.</summary>
    /// <returns>What <see cref="HasFlushed"/> wants to know.</returns>
    public static uint RequestFlush(int cpu)
    {
        CpuBlock* block = (CpuBlock*)s_blocks[cpu];
        uint ticket = Interlocked.Increment(ref block->FlushRequested);
        s_prompter!.InterruptForFlush(cpu);
        return ticket;
    }

    /// <summary>Whether a CPU has flushed its TLB since the request.</summary>
    public static bool HasFlushed(int cpu, uint ticket) =>
        unchecked((int)(Volatile.Read(ref ((CpuBlock*)s_blocks[cpu])->FlushDone) - ticket)) >= 0;

    /// <summary>Flushes this CPU's TLB if another CPU waits for it; called by the interrupt and in every loop that waits for another CPU.</summary>
    /// <returns>Whether there was a request.</returns>
    public static bool Service()
    {
        CpuBlock* block = Cpu.CurrentBlock();
        uint requested = Volatile.Read(ref block->FlushRequested);
        if (requested == block->FlushDone)
        {
            return false;
        }

        // Global pages are off (CpuSetup), so this is the whole TLB. A request that comes meanwhile is seen the next time.
        Cpu.WriteCr3(Cpu.ReadCr3());
        Volatile.Write(ref block->FlushDone, requested);
        return true;
    }
#else
    /// <summary>Nothing to answer in host tests.</summary>
    public static bool Service() => false;
#endif
}
