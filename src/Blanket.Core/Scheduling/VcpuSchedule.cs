using Blanket.Core.Domains;

namespace Blanket.Core.Scheduling;

/// <summary>What the scheduler remembers of a vCPU.</summary>
public sealed class VcpuSchedule
{
    /// <summary>Neighbours in the run queue, under its lock.</summary>
    internal Vcpu? Next;
    internal Vcpu? Previous;
    internal bool IsQueued;

    /// <summary>Queued because something woke it: goes before a vCPU that is in the middle of its slice.</summary>
    internal bool IsWoken;

    /// <summary>The CPU whose queue it uses.</summary>
    public int Cpu;

    /// <summary>True while it is a CPU's current vCPU.</summary>
    public bool IsRunning;

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

    /// <summary>The area could not be written yet because the guest was in user mode.</summary>
    public bool IsRunStateAreaStale;

    /// <summary>When its time slice ends, ns since boot.</summary>
    public ulong SliceEnd;

    /// <summary>Whether it may be given a CPU.</summary>
    public bool CanRun => IsInitialised && !IsDown && !IsBlocked && PauseCount == 0;
}
