using System;
using System.Buffers.Binary;
using Blanket.Abi;

namespace Blanket.Backends;

/// <summary>
/// Lets a guest send only from the addresses that its configuration names (xl.cfg(5), vif <c>ip=</c>), and then only from its own MAC address. It
/// may also send what needs no address yet: DHCP requests, ARP probes (RFC 5227), IPv6 duplicate address detection and link-local traffic
/// (RFC 4862). Everything that is neither IP nor ARP is refused, tagged packets too: a VLAN tag would hide what is behind it.
/// </summary>
public sealed class AddressFilter : PacketFilter
{
    private const int TypeOffset = 12;
    private const int NetworkOffset = 14;
    private const int Ipv4 = 0x0800;
    private const int Arp = 0x0806;
    private const int Ipv6 = 0x86dd;
    private const int Ipv4HeaderSize = 20;
    private const int Ipv6HeaderSize = 40;
    private const int ArpSize = 28;
    private const int NeighbourSize = 24;
    private const int UdpPortsSize = 4;
    private const byte Udp = 17;
    private const byte Icmpv6 = 58;
    private const byte NeighbourAdvertisement = 136;

    // Reserved as a protocol number.
    private const byte Unknown = 255;
    private const ushort DhcpClient = 68;
    private const ushort DhcpServer = 67;
    private const ushort FragmentBits = 0x3fff;

    private readonly BootBundleMac _mac;
    private readonly BootBundleAddresses _addresses;
    private readonly int _count;

    /// <summary>The addresses of a vif, which has some.</summary>
    public AddressFilter(in BootBundleVif vif)
    {
        _mac = vif.Mac;
        _addresses = vif.Addresses;
        _count = (int)Math.Min(vif.AddressCount, BootBundleAddresses.Size);
    }

    /// <inheritdoc/>
    public override bool Allows(ReadOnlySpan<byte> header)
    {
        ReadOnlySpan<byte> mac = _mac;
        if (header.Length < NetworkOffset || !header.Slice(MacAddress.Size, MacAddress.Size).SequenceEqual(mac))
        {
            return false;
        }

        ReadOnlySpan<byte> network = header.Slice(NetworkOffset);
        switch (BinaryPrimitives.ReadUInt16BigEndian(header.Slice(TypeOffset)))
        {
            case Ipv4:
                return AllowsIpv4(network);
            case Arp:
                return AllowsArp(network, mac);
            case Ipv6:
                return AllowsIpv6(network);
            default:
                return false;
        }
    }

    private bool AllowsIpv4(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < Ipv4HeaderSize)
        {
            return false;
        }

        ReadOnlySpan<byte> source = packet.Slice(12, 4);
        return IsNamed(BootBundle.AddressIPv4, source) || (IsZero(source) && IsDhcpRequest(packet));
    }

    private static bool IsDhcpRequest(ReadOnlySpan<byte> packet)
    {
        int size = (packet[0] & 15) * 4;
        if (size < Ipv4HeaderSize || packet.Length < size + UdpPortsSize || packet[9] != Udp
            || (BinaryPrimitives.ReadUInt16BigEndian(packet.Slice(6)) & FragmentBits) != 0)
        {
            return false;
        }

        return BinaryPrimitives.ReadUInt16BigEndian(packet.Slice(size)) == DhcpClient
            && BinaryPrimitives.ReadUInt16BigEndian(packet.Slice(size + 2)) == DhcpServer;
    }

    // RFC 826: sender's hardware address at 8, protocol address at 14.
    private bool AllowsArp(ReadOnlySpan<byte> packet, ReadOnlySpan<byte> mac)
    {
        if (packet.Length < ArpSize || !packet.Slice(8, MacAddress.Size).SequenceEqual(mac))
        {
            return false;
        }

        ReadOnlySpan<byte> sender = packet.Slice(14, 4);
        return IsZero(sender) || IsNamed(BootBundle.AddressIPv4, sender);
    }

    private bool AllowsIpv6(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < Ipv6HeaderSize || !AllowsIpv6Address(packet.Slice(8, 16)))
        {
            return false;
        }

        // RFC 4861, 4.4: the target of an advertisement is at 8; what it says becomes others' neighbour entry. Fragments of one are ignored (RFC 6980).
        ReadOnlySpan<byte> payload = SkipExtensions(packet, out byte protocol);
        if (protocol != Icmpv6 || payload.IsEmpty || payload[0] != NeighbourAdvertisement)
        {
            return protocol != Unknown;
        }

        return payload.Length >= NeighbourSize && !IsZero(payload.Slice(8, 16)) && AllowsIpv6Address(payload.Slice(8, 16));
    }

    /// <summary>What is behind hop-by-hop options, routing and destination options (RFC 8200, 4); <see cref="Unknown"/> when they do not end in the copy.</summary>
    private static ReadOnlySpan<byte> SkipExtensions(ReadOnlySpan<byte> packet, out byte protocol)
    {
        protocol = packet[6];
        int offset = Ipv6HeaderSize;
        while (protocol is 0 or 43 or 60)
        {
            if (offset + 8 > packet.Length)
            {
                protocol = Unknown;
                return default;
            }

            protocol = packet[offset];
            offset += (packet[offset + 1] + 1) * 8;
        }

        if (offset > packet.Length)
        {
            protocol = Unknown;
            return default;
        }

        return packet.Slice(offset);
    }

    private bool AllowsIpv6Address(ReadOnlySpan<byte> address) =>
        IsZero(address) || (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) || IsNamed(BootBundle.AddressIPv6, address);

    private bool IsNamed(byte family, ReadOnlySpan<byte> address)
    {
        for (int i = 0; i < _count; i++)
        {
            BootBundleAddress named = _addresses[i];
            if (named.Family == family && HasPrefix(address, named.Bytes, named.PrefixLength))
            {
                return true;
            }
        }

        return false;
    }

    private static bool HasPrefix(ReadOnlySpan<byte> address, ReadOnlySpan<byte> prefix, int bits)
    {
        int whole = bits >> 3;
        int rest = bits & 7;
        if (whole > address.Length || !address.Slice(0, whole).SequenceEqual(prefix.Slice(0, whole)))
        {
            return false;
        }

        return rest == 0 || (whole < address.Length && ((address[whole] ^ prefix[whole]) & (0xff00 >> rest) & 0xff) == 0);
    }

    private static bool IsZero(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            if (value != 0)
            {
                return false;
            }
        }

        return true;
    }
}
