using System.Runtime.CompilerServices;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>Flushes other CPUs' TLBs by inter-processor interrupts, all at the same time, and waits for the slowest.</summary>
internal sealed class CrossCpuTlb : RemoteTlb
{
    [InlineArray(Cpu.MaximumCpus)]
    private struct Tickets
    {
        private uint _first;
    }

    /// <inheritdoc/>
    public override void Flush(in CpuSet cpus)
    {
        Tickets tickets = default;
        CpuSet asked = cpus;
        while (!asked.IsEmpty)
        {
            int cpu = asked.RemoveFirst();
            tickets[cpu] = CpuRequests.RequestFlush(cpu);
        }

        CpuSet waiting = cpus;
        while (!waiting.IsEmpty)
        {
            int cpu = waiting.RemoveFirst();
            CpuRequests.WaitForFlush(cpu, tickets[cpu]);
        }
    }
}
