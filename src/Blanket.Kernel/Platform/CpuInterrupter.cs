using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Sends CPUs' requests to each other by inter-processor interrupts.</summary>
internal sealed class CpuInterrupter : CpuPrompter
{
    /// <inheritdoc/>
    public override void Interrupt(int cpu)
    {
        if (Processors.IsOnline(cpu))
        {
            LocalApic.Send(Processors.ApicId(cpu), SystemVectors.Prompt);
        }
    }
}
