namespace Blanket.Abi.Xen;

/// <summary>Sub-operations of HYPERVISOR_sched_op (xen/include/public/sched.h).</summary>
public static class SchedOp
{
    public const uint Yield = 0;
    public const uint Block = 1;
    public const uint Shutdown = 2;
    public const uint Poll = 3;
    public const uint RemoteShutdown = 4;
    public const uint ShutdownCode = 5;
    public const uint Watchdog = 6;
    public const uint PinOverride = 7;
}

/// <summary>Why a domain stopped (SHUTDOWN_* of sched.h).</summary>
public enum ShutdownReason : uint
{
    PowerOff = 0,
    Reboot = 1,
    Suspend = 2,
    Crash = 3,
    Watchdog = 4,
    SoftReset = 5,
}

/// <summary>struct sched_poll.</summary>
public struct SchedPoll
{
    /// <summary>Guest address of an array of evtchn_port_t.</summary>
    public ulong Ports;
    public uint PortCount;

    /// <summary>Absolute system time in ns, 0 for none.</summary>
    public ulong Timeout;
}

/// <summary>struct sched_watchdog.</summary>
public struct SchedWatchdog
{
    /// <summary>0 to arm a new one.</summary>
    public uint Id;

    /// <summary>Seconds; 0 disarms.</summary>
    public uint Timeout;
}

/// <summary>struct sched_remote_shutdown.</summary>
public struct SchedRemoteShutdown
{
    public ushort DomainId;
    public uint Reason;
}
