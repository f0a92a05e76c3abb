using Blanket.Drivers;

namespace Blanket.Backends;

/// <summary>What a frontend can receive, as it wrote before it connected.</summary>
internal struct VifFeatures
{
    /// <summary>feature-sg: packets of several slots.</summary>
    internal bool ScatterGather;

    /// <summary>feature-gso-tcpv4.</summary>
    internal bool GsoTcpIpv4;

    /// <summary>feature-gso-tcpv6.</summary>
    internal bool GsoTcpIpv6;

    /// <summary>Not feature-no-csum-offload: TCP and UDP over IPv4 without a checksum.</summary>
    internal bool ChecksumIpv4;

    /// <summary>feature-ipv6-csum-offload.</summary>
    internal bool ChecksumIpv6;

    /// <summary>feature-rx-notify: an event tells of new receive buffers.</summary>
    internal bool NotifiesReceive;

    /// <summary>Reads the features of a frontend.</summary>
    internal static VifFeatures Read(NodeDirectory frontend) => new()
    {
        ScatterGather = frontend.ReadFlag("feature-sg"u8),
        GsoTcpIpv4 = frontend.ReadFlag("feature-gso-tcpv4"u8),
        GsoTcpIpv6 = frontend.ReadFlag("feature-gso-tcpv6"u8),
        ChecksumIpv4 = !frontend.ReadFlag("feature-no-csum-offload"u8),
        ChecksumIpv6 = frontend.ReadFlag("feature-ipv6-csum-offload"u8),
        NotifiesReceive = frontend.ReadFlag("feature-rx-notify"u8),
    };

    /// <summary>Whether the frontend finds the checksum's place by itself, as it has to: it is told only that there is none.</summary>
    internal readonly bool CanChecksum(Packet packet) =>
        NetifOffload.CanSay(in packet.Offload, in packet.Headers) && (packet.Headers.IsIpv4 ? ChecksumIpv4 : ChecksumIpv6);

    /// <summary>Whether large packets of a kind can be received.</summary>
    internal readonly bool CanSegment(SegmentationType type) => type switch
    {
        SegmentationType.TcpIpv4 => ScatterGather && GsoTcpIpv4 && ChecksumIpv4,
        SegmentationType.TcpIpv6 => ScatterGather && GsoTcpIpv6 && ChecksumIpv6,
        _ => false,
    };
}
