using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Sends CPUs' requests to each other by inter-processor interrupts.</summary>
internal sealed class CpuInterrupter : CpuPrompter
{
    /// <inheritdoc/>
    public override void Interrupt(int cpu) => LocalApic.Send(Processors.ApicId(cpu), SystemVectors.Prompt);

    /// <inheritdoc/>
    public override void InterruptForFlush(int cpu) => LocalApic.Send(Processors.ApicId(cpu), SystemVectors.Flush);

    /// <inheritdoc/>
    public override void AcknowledgeFlush() => LocalApic.Acknowledge();

    /// <inheritdoc/>
    public override byte FlushVector => SystemVectors.Flush;
}
