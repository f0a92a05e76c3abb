using Blanket.Core.Domains;
using Blanket.Core.Memory;

namespace Blanket.Core.Scheduling;

/// <summary>What the scheduler remembers of a vCPU. Changes under the lock of its <see cref="RunQueue"/>, unless noted.</summary>
public sealed class VcpuSchedule
{
    /// <summary>No CPU.</summary>
    public const int Nowhere = -1;

    /// <summary>Neighbours in the run queue.</summary>
    internal Vcpu? Next;
    internal Vcpu? Previous;

    /// <summary>Waits in the run queue for a CPU.</summary>
    internal bool IsQueued;

    /// <summary>Wants to run, but its domain has used up its cap.</summary>
    internal bool IsParked;

    /// <summary>Counted in <see cref="DomainShare.Active"/>.</summary>
    internal bool IsActive;

    /// <summary>May run on none of its queue's CPUs any more: moves to another queue when it is put down.</summary>
    internal bool IsMisplaced;

    /// <summary>Asked that others go first.</summary>
    internal bool IsYielding;

    /// <summary>CPU time that it has had, in ns times <see cref="DomainShare.DefaultWeight"/> over its weight: who has least is next.</summary>
    internal ulong VirtualTime;

    /// <summary>CPUs that it may run on; empty for all.</summary>
    public CpuSet Affinity;

    /// <summary>The run queue that it belongs to: changes under the locks of both queues.</summary>
    internal RunQueue? Queue;

    /// <summary>The CPU whose current vCPU it is; <see cref="Nowhere"/> for none.</summary>
    public int RunningOn = Nowhere;

    /// <summary>The CPU that it ran on last.</summary>
    internal int LastCpu;

    /// <summary>
    /// The CPU that holds its registers and page tables, running or lazily; <see cref="Nowhere"/> when all is in memory. No other CPU may run it.
    /// Set by that CPU, under the lock; taken back by that CPU when everything is in memory, without.
    /// </summary>
    internal int HeldBy = Nowhere;

    /// <summary>Whether it is a CPU's current vCPU.</summary>
    public bool IsRunning => RunningOn != Nowhere;

    /// <summary>Initialised by its guest (VCPUOP_initialise, or the builder) and so able to run.</summary>
    public bool IsInitialised;

    /// <summary>Taken down (VCPUOP_down, or never up).</summary>
    public bool IsDown = true;

    /// <summary>Waits for an event (SCHEDOP_block, SCHEDOP_poll).</summary>
    public bool IsBlocked;

    /// <summary>Reasons that keep it off the CPUs: operators and teardown count up and down.</summary>
    public int PauseCount;

    /// <summary>Port that SCHEDOP_poll waits for: 0 when it does not poll, uint.MaxValue for several.</summary>
    public uint PolledPort;

    /// <summary>Since when it is in <see cref="State"/>, ns since boot.</summary>
    public ulong StateEntryTime;

    /// <summary>Current run state, as accounted.</summary>
    public RunState State = RunState.Offline;

    /// <summary>Time spent in each state up to <see cref="StateEntryTime"/>, ns.</summary>
    public readonly ulong[] StateTimes = new ulong[4];

    /// <summary>Where the guest wants its runstate information (VCPUOP_register_runstate_memory_area); 0 for nowhere.</summary>
    public ulong RunStateArea;

    /// <summary>VCPUOP_send_nmi: its NMI callback is to be entered.</summary>
    public bool IsNmiPending;

    /// <summary>Guest address of its copy of the clock (VCPUOP_register_vcpu_time_memory_area); 0 for none.</summary>
    public ulong TimeArea;

    /// <summary>The CPU that runs it or holds its state; <see cref="Nowhere"/> for none. A vCPU that is kept off the CPUs does not get another one.</summary>
    public int Holder
    {
        get
        {
            int running = System.Threading.Volatile.Read(ref RunningOn);
            return running != Nowhere ? running : System.Threading.Volatile.Read(ref HeldBy);
        }
    }

    /// <summary>Whether it waits for a CPU; a hint without the lock.</summary>
    public bool IsWaiting => System.Threading.Volatile.Read(ref IsQueued);

    /// <summary>Whether it may be given a CPU.</summary>
    public bool CanRun => IsInitialised && !IsDown && !IsBlocked && PauseCount == 0;

    /// <summary>Whether it may run on a CPU by its affinity.</summary>
    internal bool MayRunOn(int cpu) => Affinity.IsEmpty || Affinity.Contains(cpu);
}
