using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Blanket.Backends.Tests;

/// <summary>Packets for tests, and an independent, slow idea of what is in them.</summary>
internal static class Frames
{
    internal static byte[] Mac(int number) => [2, 0, 0, 0, (byte)(number >> 8), (byte)number];

    internal static byte[] Broadcast => [255, 255, 255, 255, 255, 255];

    /// <summary>An Ethernet frame that is no IP.</summary>
    internal static byte[] Plain(byte[] destination, byte[] source, int length, byte seed = 1)
    {
        byte[] frame = new byte[length];
        destination.CopyTo(frame, 0);
        source.CopyTo(frame, 6);
        frame[12] = 0x88;
        frame[13] = 0xb5;
        for (int i = 14; i < length; i++)
        {
            frame[i] = (byte)(seed + i * 31);
        }

        return frame;
    }

    /// <summary>A TCP packet with a right checksum, or with the pseudo-header's sum in its place.</summary>
    internal static byte[] Tcp(
        byte[] destination, byte[] source, int payload, bool ipv6 = false, bool partial = false, int options = 12, bool vlan = false, byte flags = 0x18)
    {
        int network = vlan ? 18 : 14;
        int ip = ipv6 ? 40 : 20;
        int transport = network + ip;
        byte[] frame = new byte[transport + 20 + options + payload];
        destination.CopyTo(frame, 0);
        source.CopyTo(frame, 6);
        if (vlan)
        {
            frame[12] = 0x81;
            frame[15] = 7;
        }

        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(network - 2), ipv6 ? (ushort)0x86dd : (ushort)0x0800);
        Span<byte> header = frame.AsSpan(network);
        if (ipv6)
        {
            header[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)(frame.Length - transport));
            header[6] = 6;
            header[7] = 64;
            for (int i = 8; i < 40; i++)
            {
                header[i] = (byte)(i * 5);
            }
        }
        else
        {
            header[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)(frame.Length - network));
            BinaryPrimitives.WriteUInt16BigEndian(header[4..], 0xfffe);
            header[6] = 0x40;
            header[8] = 64;
            header[9] = 6;
            new byte[] { 10, 0, 0, 1, 10, 0, 0, 2 }.CopyTo(header[12..]);
            BinaryPrimitives.WriteUInt16BigEndian(header[10..], (ushort)~Sum(header[..20].ToArray()));
        }

        Span<byte> tcp = frame.AsSpan(transport);
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 1234);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], 80);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], 0xfffffff0);
        tcp[12] = (byte)((20 + options) / 4 << 4);
        tcp[13] = flags;
        for (int i = 20; i < 20 + options; i++)
        {
            tcp[i] = 1;
        }

        for (int i = 20 + options; i < tcp.Length; i++)
        {
            tcp[i] = (byte)(i * 13 + i / 256);
        }

        uint pseudo = Pseudo(frame, network, ipv6);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], Fold(pseudo));
        if (!partial)
        {
            ushort sum = Sum(tcp.ToArray());
            BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], (ushort)~sum);
        }

        return frame;
    }

    /// <summary>Finishes the checksum from an offset on, as a device does.</summary>
    internal static byte[] Complete(byte[] frame, int start, int offset)
    {
        byte[] result = (byte[])frame.Clone();
        ushort sum = Sum(result[start..]);
        BinaryPrimitives.WriteUInt16BigEndian(result.AsSpan(start + offset), (ushort)~sum);
        return result;
    }

    /// <summary>Whether a TCP packet's IP and TCP checksums and lengths are right.</summary>
    internal static bool IsSound(byte[] frame)
    {
        int network = frame[12] == 0x81 ? 18 : 14;
        bool ipv6 = frame[network] >> 4 == 6;
        int length = ipv6
            ? BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(network + 4)) + 40
            : BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(network + 2));
        int transport = network + (ipv6 ? 40 : 20);
        uint all = Pseudo(frame, network, ipv6) + Sum(frame[transport..]);
        return length == frame.Length - network
            && (ipv6 || Sum(frame[network..transport]) == 0xffff)
            && Fold(all) == 0xffff;
    }

    internal static List<byte[]> Segment(byte[] frame, int size)
    {
        int network = frame[12] == 0x81 ? 18 : 14;
        bool ipv6 = frame[network] >> 4 == 6;
        int transport = network + (ipv6 ? 40 : 20);
        int payload = transport + (frame[transport + 12] >> 4) * 4;
        List<byte[]> segments = new();
        for (int at = payload; at < frame.Length; at += size)
        {
            int length = Math.Min(size, frame.Length - at);
            byte[] segment = new byte[payload + length];
            Array.Copy(frame, segment, payload);
            Array.Copy(frame, at, segment, payload, length);
            int number = (at - payload) / size;
            Span<byte> ip = segment.AsSpan(network);
            if (ipv6)
            {
                BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(segment.Length - transport));
            }
            else
            {
                BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(segment.Length - network));
                BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(BinaryPrimitives.ReadUInt16BigEndian(ip[4..]) + number));
                ip[10] = 0;
                ip[11] = 0;
                BinaryPrimitives.WriteUInt16BigEndian(ip[10..], (ushort)~Sum(ip[..20].ToArray()));
            }

            Span<byte> tcp = segment.AsSpan(transport);
            BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], (uint)(BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]) + number * size));
            tcp[13] &= at + length < frame.Length ? (byte)0xf6 : (byte)0xff;
            tcp[13] &= number > 0 ? (byte)0x7f : (byte)0xff;
            BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], Fold(Pseudo(segment, network, ipv6)));
            segments.Add(Complete(segment, transport, 16));
        }

        return segments;
    }

    internal static ushort Sum(byte[] bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            sum += (uint)(i % 2 == 0 ? bytes[i] << 8 : bytes[i]);
            sum = (sum >> 16) + (sum & 0xffff);
        }

        return (ushort)sum;
    }

    private static uint Pseudo(byte[] frame, int network, bool ipv6)
    {
        int transport = network + (ipv6 ? 40 : 20);
        byte[] addresses = ipv6 ? frame[(network + 8)..(network + 40)] : frame[(network + 12)..(network + 20)];
        return (uint)(Sum(addresses) + 6 + (frame.Length - transport));
    }

    private static ushort Fold(uint sum)
    {
        while (sum > 0xffff)
        {
            sum = (sum >> 16) + (sum & 0xffff);
        }

        return (ushort)sum;
    }
}
