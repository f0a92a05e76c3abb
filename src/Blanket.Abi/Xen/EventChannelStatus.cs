using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct evtchn_status (xen/include/public/event_channel.h); 24 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
public struct EventChannelStatus
{
    /// <summary>EVTCHNSTAT_closed and so on: values of <see cref="Status"/>.</summary>
    public const uint Closed = 0;
    public const uint Unbound = 1;
    public const uint Interdomain = 2;
    public const uint Pirq = 3;
    public const uint Virq = 4;
    public const uint Ipi = 5;

    [FieldOffset(0)]
    public ushort Domain;

    [FieldOffset(4)]
    public uint Port;

    [FieldOffset(8)]
    public uint Status;

    /// <summary>The vCPU that is notified.</summary>
    [FieldOffset(12)]
    public uint Vcpu;

    /// <summary>u.unbound.dom, u.interdomain.dom.</summary>
    [FieldOffset(16)]
    public ushort RemoteDomain;

    /// <summary>u.interdomain.port.</summary>
    [FieldOffset(20)]
    public uint RemotePort;

    /// <summary>u.virq, u.pirq.</summary>
    [FieldOffset(16)]
    public uint Source;
}
