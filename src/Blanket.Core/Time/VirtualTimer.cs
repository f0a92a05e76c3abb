using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;

namespace Blanket.Core.Time;

/// <summary>A vCPU's one-shot timer: raises VIRQ_TIMER.</summary>
public sealed class VirtualTimer(Vcpu vcpu) : Timer
{
    /// <inheritdoc/>
    public override void Expired() => EventChannels.RaiseVirq(vcpu, Virq.Timer);
}
