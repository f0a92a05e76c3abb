using System;
using System.Buffers.Binary;

namespace Blanket.Drivers;

/// <summary>Where the headers of a packet are, as far as the private copy of its beginning shows them.</summary>
public struct PacketHeaders
{
    /// <summary>Bytes of an Ethernet header.</summary>
    public const int EthernetSize = 14;

    /// <summary>IPPROTO_TCP.</summary>
    public const byte Tcp = 6;

    /// <summary>IPPROTO_UDP.</summary>
    public const byte Udp = 17;

    private const int EtherTypeIpv4 = 0x0800;
    private const int EtherTypeIpv6 = 0x86dd;
    private const int EtherTypeVlan = 0x8100;
    private const int EtherTypeServiceVlan = 0x88a8;
    private const int MaximumVlanTags = 2;
    private const int MaximumIpv6Extensions = 8;
    private const int TcpSize = 20;
    private const int UdpSize = 8;

    /// <summary>Offset of the IP header.</summary>
    public int Network;

    /// <summary>Offset of the TCP or UDP header; 0 when there is none or it is not in the copy as a whole.</summary>
    public int Transport;

    /// <summary>Offset of the payload behind the TCP or UDP header.</summary>
    public int Payload;

    /// <summary><see cref="Tcp"/> or <see cref="Udp"/> where <see cref="Transport"/> is not 0.</summary>
    public byte Protocol;

    public bool IsIpv4;
    public bool IsIpv6;

    /// <summary>Equal for all packets of a connection.</summary>
    public uint FlowHash;

    /// <summary>Offset of the checksum field in the TCP or UDP header.</summary>
    public readonly int ChecksumOffset => Protocol == Tcp ? 16 : 6;

    /// <summary>Reads the headers.</summary>
    /// <param name="header">The beginning of the packet, a private copy; at least an Ethernet header.</param>
    public static PacketHeaders Parse(ReadOnlySpan<byte> header)
    {
        PacketHeaders result = default;
        int offset = 12;
        int type = BinaryPrimitives.ReadUInt16BigEndian(header.Slice(offset));
        for (int tag = 0; tag < MaximumVlanTags && type is EtherTypeVlan or EtherTypeServiceVlan && header.Length >= offset + 6; tag++)
        {
            offset += 4;
            type = BinaryPrimitives.ReadUInt16BigEndian(header.Slice(offset));
        }

        result.Network = offset + 2;
        if (type == EtherTypeIpv4)
        {
            result.ReadIpv4(header);
        }
        else if (type == EtherTypeIpv6)
        {
            result.ReadIpv6(header);
        }

        result.FlowHash = result.Hash(header);
        return result;
    }

    /// <summary>Sum of the pseudo-header of a TCP or UDP checksum (RFC 9293, 3.1; RFC 8200, 8.1), not complemented.</summary>
    /// <param name="header">The headers.</param>
    /// <param name="length">Bytes from the transport header on.</param>
    public readonly ushort PseudoHeaderSum(ReadOnlySpan<byte> header, uint length)
    {
        InternetChecksum sum = default;
        sum.Add(IsIpv4 ? header.Slice(Network + 12, 8) : header.Slice(Network + 8, 32));
        sum.AddWord(Protocol);
        sum.AddWord((ushort)length);
        sum.AddWord((ushort)(length >> 16));
        return sum.Fold();
    }

    private void ReadIpv4(ReadOnlySpan<byte> header)
    {
        ReadOnlySpan<byte> ip = header.Slice(Network);
        if (ip.Length < 20 || ip[0] >> 4 != 4)
        {
            return;
        }

        int size = (ip[0] & 15) * 4;
        IsIpv4 = size >= 20 && size <= ip.Length;
        bool isFragment = (BinaryPrimitives.ReadUInt16BigEndian(ip.Slice(6)) & 0x3fff) != 0;
        if (IsIpv4 && !isFragment)
        {
            ReadTransport(header, Network + size, ip[9]);
        }
    }

    private void ReadIpv6(ReadOnlySpan<byte> header)
    {
        ReadOnlySpan<byte> ip = header.Slice(Network);
        if (ip.Length < 40 || ip[0] >> 4 != 6)
        {
            return;
        }

        IsIpv6 = true;
        byte next = ip[6];
        int offset = Network + 40;
        for (int i = 0; i < MaximumIpv6Extensions && IsExtension(next); i++)
        {
            if (offset + 8 > header.Length)
            {
                return;
            }

            next = header[offset];
            offset += (header[offset + 1] + 1) * 8;
        }

        ReadTransport(header, offset, next);
    }

    /// <summary>Hop-by-hop options, routing, destination options: extension headers of equal form. A fragment header ends the walk.</summary>
    private static bool IsExtension(byte protocol) => protocol is 0 or 43 or 60;

    private void ReadTransport(ReadOnlySpan<byte> header, int offset, byte protocol)
    {
        if (protocol == Udp && offset + UdpSize <= header.Length)
        {
            SetTransport(offset, UdpSize, protocol);
        }
        else if (protocol == Tcp && offset + TcpSize <= header.Length)
        {
            int size = (header[offset + 12] >> 4) * 4;
            if (size >= TcpSize && offset + size <= header.Length)
            {
                SetTransport(offset, size, protocol);
            }
        }
    }

    private void SetTransport(int offset, int size, byte protocol)
    {
        Transport = offset;
        Payload = offset + size;
        Protocol = protocol;
    }

    private readonly uint Hash(ReadOnlySpan<byte> header)
    {
        // Not 0, which bytes of 0 would leave as it is.
        ulong hash = 1;
        if (!IsIpv4 && !IsIpv6)
        {
            return Finish(Mix(hash, header.Slice(0, 12)));
        }

        hash = Mix(hash, IsIpv4 ? header.Slice(Network + 12, 8) : header.Slice(Network + 8, 32));
        return Finish(Transport == 0 ? hash : Mix(hash, header.Slice(Transport, 4)));
    }

    /// <summary>Multiplies words of 32 bits into a hash; each reaches the upper half.</summary>
    private static ulong Mix(ulong hash, ReadOnlySpan<byte> words)
    {
        for (; words.Length >= sizeof(uint); words = words.Slice(sizeof(uint)))
        {
            hash = unchecked((hash ^ BinaryPrimitives.ReadUInt32LittleEndian(words)) * 0x9e3779b97f4a7c15);
        }

        return hash;
    }

    private static uint Finish(ulong hash) => (uint)(hash >> 32);
}
