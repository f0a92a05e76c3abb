using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>Sub-operations of HYPERVISOR_vcpu_op (xen/include/public/vcpu.h).</summary>
public static class VcpuOp
{
    public const uint Initialise = 0;
    public const uint Up = 1;
    public const uint Down = 2;
    public const uint IsUp = 3;
    public const uint GetRunStateInfo = 4;
    public const uint RegisterRunStateMemoryArea = 5;
    public const uint SetPeriodicTimer = 6;
    public const uint StopPeriodicTimer = 7;
    public const uint SetSingleshotTimer = 8;
    public const uint StopSingleshotTimer = 9;
    public const uint RegisterVcpuInfo = 10;
    public const uint SendNmi = 11;
    public const uint GetPhysicalId = 12;
    public const uint RegisterVcpuTimeMemoryArea = 13;

    /// <summary>VCPU_SSHOTTMR_future: a deadline in the past is -ETIME instead of an immediate event.</summary>
    public const uint SingleshotFuture = 1;
}

/// <summary>struct vcpu_runstate_info.</summary>
public struct VcpuRunStateInfo
{
    public int State;
    public ulong StateEntryTime;
    public ulong TimeRunning;
    public ulong TimeRunnable;
    public ulong TimeBlocked;
    public ulong TimeOffline;

    /// <summary>XEN_RUNSTATE_UPDATE: set in StateEntryTime while the area is being written, where the guest asked for it.</summary>
    public const ulong Update = 1UL << 63;
}

/// <summary>struct vcpu_set_singleshot_timer.</summary>
public struct VcpuSetSingleshotTimer
{
    public ulong TimeoutAbsoluteNs;
    public uint Flags;
}

/// <summary>struct vcpu_register_vcpu_info.</summary>
public struct VcpuRegisterVcpuInfo
{
    public ulong Frame;
    public uint Offset;
    public uint Reserved;
}
