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

    /// <summary>Acknowledges on this CPU the interrupt of <see cref="InterruptForFlush"/>, so that the next one can come.</summary>
    public abstract void AcknowledgeFlush();

    /// <summary>The vector of <see cref="InterruptForFlush"/>.</summary>
    public abstract byte FlushVector { get; }
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

    /// <summary>Waits until a CPU has flushed its TLB since a request.</summary>
    /// <param name="cpu">The other CPU.</param>
    /// <param name="ticket">The result of <see cref="RequestFlush"/>.</param>
    public static void WaitForFlush(int cpu, uint ticket)
    {
        CpuBlock* block = (CpuBlock*)s_blocks[cpu];
        CpuWait wait = CpuWait.For(ref block->FlushDone);
        while (!HasFlushed(block, ticket))
        {
            if (!wait.Turn())
            {
                continue;
            }

            Interlocked.Exchange(ref block->IsFlushAwaited, 1u);
            if (HasFlushed(block, ticket))
            {
                wait.Cancel();
                return;
            }

            wait.Halt();
        }
    }

    private static bool HasFlushed(CpuBlock* block, uint ticket) => unchecked((int)(Volatile.Read(ref block->FlushDone) - ticket)) >= 0;

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

        // A full barrier: who marks the wait afterwards sees that it is over, whose mark came before is seen here.
        Interlocked.Exchange(ref block->FlushDone, requested);
        if (Volatile.Read(ref block->IsFlushAwaited) != 0)
        {
            Interlocked.Exchange(ref block->IsFlushAwaited, 0u);
            CpuWait.WakeAll(ref block->FlushDone);
        }

        return true;
    }

    /// <summary>Whether another CPU waits for a flush of this one's TLB.</summary>
    internal static bool IsFlushWanted(CpuBlock* block) => Volatile.Read(ref block->FlushRequested) != block->FlushDone;

    /// <summary>Whether an interrupt of others would end a halt of this CPU: nothing of the same or a higher priority is in service.</summary>
    internal static bool CanBeWoken(CpuBlock* block)
    {
        if (s_prompter == null || s_blocks[block->CpuNumber] == 0)
        {
            return false;
        }

        AcknowledgeFlush(block);
        byte vector = s_prompter.FlushVector;
        return block->PendingVectors[vector >> 6] >> (vector & 63) == 0;
    }

    /// <summary>Acknowledges the flush interrupt if it was noted and nothing above it was: acknowledgements go from the highest down.</summary>
    internal static void AcknowledgeFlush(CpuBlock* block)
    {
        byte vector = s_prompter!.FlushVector;
        ref ulong word = ref block->PendingVectors[vector >> 6];
        if (word >> (vector & 63) == 1)
        {
            word &= ~(1UL << (vector & 63));
            s_prompter.AcknowledgeFlush();
        }
    }

    /// <summary>Interrupts the CPUs that halted for a cell.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void WakeWaiting(ulong cell)
    {
        for (int cpu = 0; cpu < Cpu.MaximumCpus; cpu++)
        {
            CpuBlock* block = (CpuBlock*)s_blocks[cpu];
            if (block != null && Volatile.Read(ref block->WaitsFor) == cell)
            {
                s_prompter!.InterruptForFlush(cpu);
            }
        }
    }

    /// <summary>What CPUs wait for, in the log: for debugging, so without locks, and possibly changing meanwhile.</summary>
    public static void LogAll()
    {
        for (int cpu = 0; cpu < Cpu.MaximumCpus; cpu++)
        {
            CpuBlock* block = (CpuBlock*)s_blocks[cpu];
            if (block != null)
            {
                LogOne(block);
            }
        }
    }

    private static void LogOne(CpuBlock* block)
    {
        LogLine line = Log.Line("CPU "u8).Decimal((uint)block->CpuNumber).Text(" halted for "u8).Hex(Volatile.Read(ref block->WaitsFor))
            .Text(" flushes asked "u8).Decimal(block->FlushRequested).Text(" done "u8).Decimal(block->FlushDone)
            .Text(" work "u8).Decimal(block->WorkPending).Text(" prompted "u8).Decimal(s_prompted[block->CpuNumber]).Text(" locks"u8);
        uint held = System.Math.Min(Volatile.Read(ref block->HeldLockCount), HeldLocks.Maximum);
        for (uint i = 0; i < held; i++)
        {
            line.Text(" "u8).Hex(block->HeldLock[i]);
        }

        line.End();
    }
#else
    /// <summary>Nothing to answer in host tests.</summary>
    public static bool Service() => false;
#endif
}
