using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Machine;

namespace Blanket.Core.Domains;

/// <summary>A virtual CPU of a domain. What entry code touches is in <see cref="State"/>; the rest is here.</summary>
public sealed partial class Vcpu
{
    /// <summary>Bytes that its objects take of an arena at most.</summary>
    public const int ObjectSize = 2 << 10;

    private readonly ulong _stateFrame;

    /// <summary>A vCPU that is not yet initialised.</summary>
    /// <param name="domain">Its domain.</param>
    /// <param name="id">Its number in the domain, from 0.</param>
    /// <param name="stateFrame">First of the 4 zeroed frames of its <see cref="VcpuState"/>.</param>
    public Vcpu(Domain domain, int id, ulong stateFrame)
    {
        Domain = domain;
        Id = id;
        _stateFrame = stateFrame;
        Schedule = new VcpuSchedule();
        SingleshotTimer = new VirtualTimer(this);
        PeriodicTimer = new PeriodicTimer(this);
        PollTimer = new PollTimer(this);
    }

    /// <summary>The domain that it belongs to.</summary>
    public Domain Domain { get; }

    /// <summary>Its number in the domain, from 0.</summary>
    public int Id { get; }

    /// <summary>Registers, callbacks and everything else that entry code works on. Changed only by the CPU it runs on, or while it is off.</summary>
    public ref VcpuState State => ref PhysicalMemory.At<VcpuState>(_stateFrame << Cpu.PageShift);

    /// <summary>What the scheduler remembers of it.</summary>
    public VcpuSchedule Schedule { get; }

    /// <summary>VCPUOP_set_singleshot_timer and HYPERVISOR_set_timer_op.</summary>
    public VirtualTimer SingleshotTimer { get; }

    /// <summary>VCPUOP_set_periodic_timer.</summary>
    public PeriodicTimer PeriodicTimer { get; }

    /// <summary>Time-out of SCHEDOP_poll.</summary>
    public PollTimer PollTimer { get; }

    /// <summary>Timers of a vCPU that the timer queues must have room for.</summary>
    public const int TimerCount = 3;

    /// <summary>Physical address of <see cref="State"/>.</summary>
    public ulong StateAddress => _stateFrame << Cpu.PageShift;
}
