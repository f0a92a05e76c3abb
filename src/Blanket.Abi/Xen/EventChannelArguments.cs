using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct evtchn_alloc_unbound (xen/include/public/event_channel.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelAllocateUnbound
{
    public ushort Domain;
    public ushort RemoteDomain;

    /// <summary>Out: the new port.</summary>
    public uint Port;
}

/// <summary>struct evtchn_bind_interdomain.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelBindInterdomain
{
    public ushort RemoteDomain;
    public ushort Padding0;
    public uint RemotePort;

    /// <summary>Out: the new port.</summary>
    public uint LocalPort;
}

/// <summary>struct evtchn_bind_virq.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelBindVirq
{
    public uint Virq;
    public uint Vcpu;

    /// <summary>Out: the new port.</summary>
    public uint Port;
}

/// <summary>struct evtchn_bind_pirq.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelBindPirq
{
    public uint Pirq;
    public uint Flags;

    /// <summary>Out: the new port.</summary>
    public uint Port;
}

/// <summary>struct evtchn_bind_ipi.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelBindIpi
{
    public uint Vcpu;

    /// <summary>Out: the new port.</summary>
    public uint Port;
}

/// <summary>struct evtchn_bind_vcpu.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelBindVcpu
{
    public uint Port;
    public uint Vcpu;
}

/// <summary>struct evtchn_reset.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelReset
{
    public ushort Domain;
}

/// <summary>struct evtchn_init_control.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelInitializeControl
{
    public ulong ControlFrame;

    /// <summary>Of the control block in its frame; a multiple of 8.</summary>
    public uint Offset;
    public uint Vcpu;

    /// <summary>Out: width of the link field of event words.</summary>
    public byte LinkBits;
    private readonly byte _padding0;
    private readonly ushort _padding1;
    private readonly uint _padding2;
}

/// <summary>struct evtchn_expand_array.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelExpandArray
{
    public ulong ArrayFrame;
}

/// <summary>struct evtchn_set_priority.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EventChannelSetPriority
{
    public uint Port;
    public uint Priority;
}
