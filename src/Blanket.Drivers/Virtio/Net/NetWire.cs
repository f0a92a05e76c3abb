using System.Runtime.InteropServices;

namespace Blanket.Drivers.Virtio.Net;

/// <summary>Numbers of the network device (virtio 1.2, 5.1).</summary>
internal static class NetWire
{
    // Feature bits (5.1.3).
    public const ulong Checksum = 1UL << 0;
    public const ulong GuestChecksum = 1UL << 1;
    public const ulong Mtu = 1UL << 3;
    public const ulong Mac = 1UL << 5;
    public const ulong GuestTso4 = 1UL << 7;
    public const ulong GuestTso6 = 1UL << 8;
    public const ulong GuestEcn = 1UL << 9;
    public const ulong HostTso4 = 1UL << 11;
    public const ulong HostTso6 = 1UL << 12;
    public const ulong HostEcn = 1UL << 13;
    public const ulong MergeableBuffers = 1UL << 15;
    public const ulong Status = 1UL << 16;
    public const ulong ControlQueue = 1UL << 17;
    public const ulong ControlReceive = 1UL << 18;
    public const ulong MultiQueue = 1UL << 22;

    // Offsets in struct virtio_net_config (5.1.4).
    public const uint ConfigMac = 0;
    public const uint ConfigStatus = 6;
    public const uint ConfigMaximumPairs = 8;
    public const uint ConfigMtu = 10;

    public const ushort StatusLinkUp = 1;

    /// <summary>Bytes of a hardware address.</summary>
    public const int MacLength = 6;

    // Header flags and segmentation types (5.1.6).
    public const byte FlagNeedsChecksum = 1;
    public const byte FlagDataValid = 2;
    public const byte GsoNone = 0;
    public const byte GsoTcpIpv4 = 1;
    public const byte GsoTcpIpv6 = 4;
    public const byte GsoEcn = 0x80;

    /// <summary>Bytes of the header; a legacy one without mergeable buffers lacks num_buffers (5.1.6.1).</summary>
    public const uint HeaderSize = 12;
    public const uint LegacyHeaderSize = 10;

    // Control commands (5.1.6.5).
    public const byte ClassReceive = 0;
    public const byte CommandPromiscuous = 0;
    public const byte ClassMultiQueue = 4;
    public const byte CommandSetPairs = 0;
    public const byte AckOk = 0;

    /// <summary>Least and most bytes of a frame: an Ethernet header; the largest IP packet with Ethernet and VLAN headers.</summary>
    public const uint MinimumFrame = 14;
    public const uint MaximumFrame = 65535 + 18;

    /// <summary>Features that are left after those whose requirements are missing are dropped (5.1.3.1).</summary>
    public static ulong WithRequirements(ulong features)
    {
        features = Without(features, GuestChecksum, GuestTso4 | GuestTso6);
        // Segments larger than one buffer need several.
        features = Without(features, MergeableBuffers, GuestTso4 | GuestTso6);
        features = Without(features, GuestTso4 | GuestTso6, GuestEcn);
        features = Without(features, Checksum, HostTso4 | HostTso6);
        features = Without(features, HostTso4 | HostTso6, HostEcn);
        return Without(features, ControlQueue, ControlReceive | MultiQueue);
    }

    private static ulong Without(ulong features, ulong required, ulong dependent) =>
        (features & required) != 0 ? features : features & ~dependent;
}

/// <summary>struct virtio_net_hdr (virtio 1.2, 5.1.6).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NetHeader
{
    public byte Flags;
    public byte GsoType;
    public ushort HeaderLength;
    public ushort GsoSize;
    public ushort ChecksumStart;
    public ushort ChecksumOffset;
    public ushort BufferCount;
}
