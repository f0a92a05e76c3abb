using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct vcpu_info: what a vCPU and the hypervisor tell each other (xen/include/public/xen.h); 64 bytes, aligned to 8.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VcpuInfo
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 64;

    /// <summary>Alignment in bytes.</summary>
    public const int Alignment = 8;

    /// <summary>Offset of <see cref="EventMask"/>.</summary>
    public const int EventMaskOffset = 1;

    /// <summary>Offset of <see cref="PendingSelector"/>.</summary>
    public const int PendingSelectorOffset = 8;

    /// <summary>Offset of <see cref="Cr2"/>.</summary>
    public const int Cr2Offset = 16;

    /// <summary>Offset of <see cref="Time"/>.</summary>
    public const int TimeOffset = 32;

    /// <summary>evtchn_upcall_pending: an event waits for the vCPU.</summary>
    public byte EventPending;

    /// <summary>evtchn_upcall_mask: no upcalls while it is not 0.</summary>
    public byte EventMask;
    public ushort Padding0;
    public uint Padding1;

    /// <summary>evtchn_pending_sel: bit n for word n of <see cref="SharedInfo.EventPendingOffset"/>.</summary>
    public ulong PendingSelector;

    /// <summary>arch.cr2: address of the last page fault.</summary>
    public ulong Cr2;
    public ulong Padding2;

    /// <summary>The vCPU's clock.</summary>
    public VcpuTimeInfo Time;
}
