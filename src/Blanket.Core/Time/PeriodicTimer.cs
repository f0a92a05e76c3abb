using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Scheduling;
using Blanket.Machine;

namespace Blanket.Core.Time;

/// <summary>A vCPU's periodic timer: raises VIRQ_TIMER every <see cref="Period"/> ns; ticks that were missed are not made up for.</summary>
public sealed class PeriodicTimer(Vcpu vcpu) : Timer
{
    /// <summary>Shortest period that a guest may ask for, ns (VCPUOP_set_periodic_timer: 1 ms).</summary>
    public const ulong MinimumPeriod = 1_000_000;

    /// <summary>ns between ticks; 0 while stopped.</summary>
    public ulong Period { get; private set; }

    /// <summary>Starts ticking, or stops with a period of 0.</summary>
    public void Start(ulong period)
    {
        Period = period;
        if (period == 0)
        {
            TimerQueue.Cancel(this);
        }
        else
        {
            Scheduler.Arm(this, SystemTime.Now + period);
        }
    }

    /// <inheritdoc/>
    public override void Expired()
    {
        EventChannels.RaiseVirq(vcpu, Virq.Timer);
        if (Period != 0)
        {
            ulong next = Deadline + Period;
            ulong now = SystemTime.Now;
            Scheduler.Arm(this, next > now ? next : now + Period);
        }
    }
}
