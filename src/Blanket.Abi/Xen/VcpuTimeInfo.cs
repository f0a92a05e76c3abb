using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct vcpu_time_info: a vCPU's clock (xen/include/public/xen.h); 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VcpuTimeInfo
{
    /// <summary>XEN_PVCLOCK_TSC_STABLE_BIT: times of different vCPUs may be compared.</summary>
    public const byte TscStable = 1 << 0;

    /// <summary>XEN_PVCLOCK_GUEST_STOPPED: the vCPU was stopped for a while.</summary>
    public const byte GuestStopped = 1 << 1;

    /// <summary>Incremented before and after each update; odd while one is under way.</summary>
    public uint Version;
    public uint Padding0;

    /// <summary>TSC at the last update.</summary>
    public ulong TscTimestamp;

    /// <summary>Time at the last update, ns since boot.</summary>
    public ulong SystemTime;

    /// <summary>ns of (TSC difference shifted by <see cref="TscShift"/>), as a binary fraction of 2^32.</summary>
    public uint TscToSystemMultiplier;

    /// <summary>Left shift (negative: right shift) of the TSC difference before it is multiplied.</summary>
    public sbyte TscShift;
    public byte Flags;
    public ushort Padding1;
}
