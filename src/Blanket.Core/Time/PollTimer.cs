using Blanket.Core.Domains;
using Blanket.Core.Scheduling;

namespace Blanket.Core.Time;

/// <summary>Ends a SCHEDOP_poll whose time is over.</summary>
public sealed class PollTimer(Vcpu vcpu) : Timer
{
    /// <inheritdoc/>
    public override void Expired() => Scheduler.Wake(vcpu);
}
