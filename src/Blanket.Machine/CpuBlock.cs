using System.Runtime.InteropServices;

namespace Blanket.Machine;

/// <summary>
/// What a CPU keeps for itself, in the last frame of its region; assembly finds it from the stack pointer.
/// Offsets are shared with Assembly/layout.inc.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 4096)]
public unsafe struct CpuBlock
{
    /// <summary>This CPU's number.</summary>
    [FieldOffset(0)]
    public int CpuNumber;

    /// <summary>Local APIC id.</summary>
    [FieldOffset(4)]
    public uint ApicId;

    /// <summary>The <see cref="VcpuState"/> of the vCPU that runs here; null while idle.</summary>
    [FieldOffset(8)]
    public VcpuState* CurrentVcpu;

    /// <summary>Non-zero: work waits that the exit path must do before the guest goes on.</summary>
    [FieldOffset(16)]
    public uint WorkPending;

    /// <summary>How often other CPUs have asked this one to flush its TLB (<see cref="CpuRequests"/>).</summary>
    [FieldOffset(20)]
    public uint FlushRequested;

    /// <summary>Stack pointer to return to when a handler is abandoned; 0 when there is nothing to return to.</summary>
    [FieldOffset(24)]
    public ulong AbandonStack;

    /// <summary>Number of entries in <see cref="HeldLock"/>.</summary>
    [FieldOffset(32)]
    public uint HeldLockCount;

    /// <summary>The value of <see cref="FlushRequested"/> up to which this CPU has flushed.</summary>
    [FieldOffset(36)]
    public uint FlushDone;

    /// <summary>Scratch for the syscall entry: the guest's stack pointer.</summary>
    [FieldOffset(40)]
    public ulong ScratchStack;

    /// <summary>CR3 in use.</summary>
    [FieldOffset(48)]
    public ulong CurrentCr3;

    /// <summary>Address of the cell that this CPU has halted for (<see cref="CpuWait"/>); 0 for none.</summary>
    [FieldOffset(56)]
    public ulong WaitsFor;

    /// <summary>Interrupt vectors that have arrived and wait to be handled, one bit each.</summary>
    [FieldOffset(64)]
    public fixed ulong PendingVectors[4];

    /// <summary>Addresses of the locks held, oldest first.</summary>
    [FieldOffset(96)]
    public fixed ulong HeldLock[HeldLocks.Maximum];

    /// <summary>Non-zero: a CPU may have halted until <see cref="FlushDone"/> changes.</summary>
    [FieldOffset(192)]
    public uint IsFlushAwaited;

    /// <summary>Non-zero: <see cref="KnownTime"/> is when a wait for an interrupt ended, and the work loop has not asked since.</summary>
    [FieldOffset(196)]
    public uint IsAfterWait;

    /// <summary>What time it was when the CPU's work loop last asked, ns since boot (<see cref="CpuTime"/>).</summary>
    [FieldOffset(200)]
    public ulong KnownTime;

    /// <summary>Exit counters by cause (<see cref="ExitCause"/>), for bench and debugging.</summary>
    [FieldOffset(256)]
    public fixed ulong Exits[64];

    /// <summary>Counters by <see cref="L0Request"/>.</summary>
    [FieldOffset(768)]
    public fixed ulong L0Requests[8];

    /// <summary>The task state segment (Intel SDM vol. 3, 8.7).</summary>
    [FieldOffset(1024)]
    public fixed byte TaskState[104 + 1];

    /// <summary>GDT pointer operand.</summary>
    [FieldOffset(1152)]
    public fixed byte GdtPointer[16];
}
