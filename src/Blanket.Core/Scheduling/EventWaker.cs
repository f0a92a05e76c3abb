using Blanket.Core.Domains;
using Blanket.Core.Events;

namespace Blanket.Core.Scheduling;

/// <summary>An event for a vCPU ends its block, or makes the CPU it runs on enter its event callback.</summary>
public sealed class EventWaker : VcpuNotifier
{
    /// <inheritdoc/>
    protected override void Notify(Vcpu vcpu) => Scheduler.Wake(vcpu);
}
