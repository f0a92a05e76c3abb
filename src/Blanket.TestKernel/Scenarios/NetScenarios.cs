using System;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>Packets and buffers that make no sense, between two vifs of the domain on one bridge.</summary>
internal static unsafe class NetScenarios
{
    private const uint NeverGranted = 900;
    private const ushort PacketSize = 60;
    private const ushort EthernetSize = 14;
    private const int TypeOffset = 12;
    private const byte Payload = 0xa5;
    private const int SlotSize = (int)PageEntry.PageSize;

    private static ReadOnlySpan<byte> FirstVif => "device/vif/0"u8;

    private static ReadOnlySpan<byte> SecondVif => "device/vif/1"u8;

    // Its configuration names 00:16:3e:00:00:99, 192.0.2.7 and 2001:db8::7.
    private static ReadOnlySpan<byte> NamedVif => "device/vif/2"u8;

    private static ReadOnlySpan<byte> NamedMac => [0x00, 0x16, 0x3e, 0x00, 0x00, 0x99];

    private static ReadOnlySpan<byte> OtherMac => [0x00, 0x16, 0x3e, 0x00, 0x00, 0x98];

    private static ReadOnlySpan<byte> NamedIpv4 => [192, 0, 2, 7];

    private static ReadOnlySpan<byte> OtherIpv4 => [192, 0, 2, 8];

    private static ReadOnlySpan<byte> NamedIpv6 => [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

    private static ReadOnlySpan<byte> OtherIpv6 => [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8];

    /// <summary>Slots that cannot be a packet.</summary>
    internal static void Packets()
    {
        if (!NetFrontend.TryFind(FirstVif, out NetFrontend vif) || !vif.Connect())
        {
            return;
        }

        Page page = Page.Take();
        Write(page);
        uint reference = vif.Device.Grant(page, isReadOnly: true);
        Report.Equal("a sound packet"u8, vif.SendOne(reference, 0, PacketSize), Netif.Okay);
        Report.Equal("no bytes"u8, vif.SendOne(reference, 0, 0), Netif.Error);
        Report.Equal("less than an Ethernet header"u8, vif.SendOne(reference, 0, EthernetSize - 1), Netif.Error);
        Report.Equal("bytes behind the page"u8, vif.SendOne(reference, SlotSize - PacketSize + 1, PacketSize), Netif.Error);
        Report.Equal("the highest offset and size"u8, vif.SendOne(reference, ushort.MaxValue, ushort.MaxValue), Netif.Error);
        Report.Equal("a page that was not granted"u8, vif.SendOne(NeverGranted, 0, PacketSize), Netif.Error);
        Report.Equal("a reference beyond the table"u8, vif.SendOne(uint.MaxValue, 0, PacketSize), Netif.Error);

        vif.PutSlot(reference, 0, PacketSize, NetifTransmitFlags.MoreData);
        vif.PutSlot(reference, 0, PacketSize + 1);
        Report.Equal("a part that is longer than the packet"u8, vif.Send(2), Netif.Error);
        PutChain(ref vif, reference, Netif.MinimumSlots + 1);
        Report.Equal("a slot more than anybody has to accept"u8, vif.Send(Netif.MinimumSlots + 1), Netif.Error);
        PutChain(ref vif, reference, Netif.MinimumSlots);
        Report.Equal("as many slots as have to be accepted"u8, vif.Send(Netif.MinimumSlots), Netif.Okay);

        // The answer to the extra information says nothing and comes first.
        vif.PutSlot(reference, 0, PacketSize, NetifTransmitFlags.ExtraInfo);
        vif.PutExtra(0, 0, 0, 0);
        Report.Equal("extra information of no type"u8, vif.Send(2), Netif.Error);
        vif.PutSlot(reference, 0, PacketSize, NetifTransmitFlags.ExtraInfo);
        vif.PutExtra(byte.MaxValue, 0, 0, 0);
        Report.Equal("extra information of an unknown type"u8, vif.Send(2), Netif.Error);

        // A wire loses what nobody can make sense of.
        vif.PutSlot(reference, 0, PacketSize, NetifTransmitFlags.ExtraInfo | NetifTransmitFlags.ChecksumBlank);
        vif.PutExtra(Netif.ExtraGso, 0, 0, Netif.GsoTcpIpv4);
        Report.Equal("segments of no bytes"u8, vif.Send(2), Netif.Okay);
        Report.Equal("a checksum of no protocol"u8, vif.SendOne(reference, 0, PacketSize, NetifTransmitFlags.ChecksumBlank), Netif.Okay);
        Report.Equal("a sound packet behind all that"u8, vif.SendOne(reference, 0, PacketSize), Netif.Okay);
        Report.Equal("answers to nothing"u8, vif.Transmit.Surplus, 0);
        vif.Device.Close();
        GrantTable.RevokeAll();
    }

    /// <summary>Buffers that cannot be written to cost the packets that come into them, and no others.</summary>
    internal static void Buffers()
    {
        if (!NetFrontend.TryFind(FirstVif, out NetFrontend sender) || !sender.Connect()
            || !NetFrontend.TryFind(SecondVif, out NetFrontend receiver) || !receiver.Connect())
        {
            return;
        }

        // One bridge with two ends of this domain.
        Page page = Page.Take();
        Write(page);
        uint packet = sender.Device.Grant(page, isReadOnly: true);
        Page buffer = Page.Take();
        uint sound = receiver.Device.Grant(buffer);
        uint readOnly = receiver.Device.Grant(buffer, isReadOnly: true);
        uint table = receiver.Device.Grant(Page.Of(Domain.FirstBootTable));

        Report.Equal("a buffer that was not granted"u8, Pass(ref sender, ref receiver, packet, NeverGranted), Netif.Error);
        Report.Equal("a buffer beyond the table"u8, Pass(ref sender, ref receiver, packet, uint.MaxValue), Netif.Error);
        Report.Equal("a buffer granted read-only"u8, Pass(ref sender, ref receiver, packet, readOnly), Netif.Error);
        Report.Equal("a buffer that is a page table"u8, Pass(ref sender, ref receiver, packet, table), Netif.Error);
        Report.True("a buffer that may not be written to is as it was"u8, buffer.Bytes[TypeOffset] == 0);
        Report.Equal("a sound buffer"u8, Pass(ref sender, ref receiver, packet, sound), PacketSize);
        Report.True("the packet is what was sent"u8, buffer.Bytes.Slice(0, PacketSize).SequenceEqual(page.Bytes.Slice(0, PacketSize)));
        Report.Equal("answers to nothing"u8, receiver.Receive.Surplus, 0);
        receiver.Device.Close();
        sender.Device.Close();
        GrantTable.RevokeAll();
    }

    /// <summary>Senders' addresses that the configuration of a vif does not name get nowhere; those that it names do.</summary>
    internal static void Spoofing()
    {
        if (!NetFrontend.TryFind(NamedVif, out NetFrontend sender) || !sender.Connect()
            || !NetFrontend.TryFind(SecondVif, out NetFrontend receiver) || !receiver.Connect())
        {
            return;
        }

        Page page = Page.Take();
        uint packet = sender.Device.Grant(page, isReadOnly: true);
        Page buffer = Page.Take();
        uint place = receiver.Device.Grant(buffer);
        const ushort ipv4 = 0x0800;
        const ushort arp = 0x0806;
        const ushort ipv6 = 0x86dd;
        const ushort experiment = 0x88b5;

        // Sent to nobody's profit: what comes first is the packet behind them.
        WriteFrom(page, OtherMac, ipv4, NamedIpv4);
        Report.Equal("somebody else's MAC"u8, sender.SendOne(packet, 0, PacketSize), Netif.Okay);
        WriteFrom(page, NamedMac, ipv4, OtherIpv4);
        Report.Equal("somebody else's IPv4 address"u8, sender.SendOne(packet, 0, PacketSize), Netif.Okay);
        WriteFrom(page, NamedMac, arp, OtherIpv4);
        Report.Equal("ARP with somebody else's IPv4 address"u8, sender.SendOne(packet, 0, PacketSize), Netif.Okay);
        WriteFrom(page, NamedMac, ipv6, OtherIpv6);
        Report.Equal("somebody else's IPv6 address"u8, sender.SendOne(packet, 0, PacketSize), Netif.Okay);
        WriteFrom(page, NamedMac, experiment, NamedIpv4);
        Report.Equal("neither IP nor ARP"u8, sender.SendOne(packet, 0, PacketSize), Netif.Okay);

        WriteFrom(page, NamedMac, ipv4, NamedIpv4);
        Arrives("the named IPv4 address"u8, ref sender, ref receiver, page, buffer, packet, place);
        WriteFrom(page, NamedMac, arp, NamedIpv4);
        Arrives("ARP with the named IPv4 address"u8, ref sender, ref receiver, page, buffer, packet, place);
        WriteFrom(page, NamedMac, ipv6, NamedIpv6);
        Arrives("the named IPv6 address"u8, ref sender, ref receiver, page, buffer, packet, place);
        receiver.Device.Close();
        sender.Device.Close();
        GrantTable.RevokeAll();
    }

    /// <summary>Rings that cannot be: the backend gives up this connection, and serves the next one.</summary>
    internal static void Rings()
    {
        if (!NetFrontend.TryFind(FirstVif, out NetFrontend vif))
        {
            return;
        }

        Page page = Page.Take();
        Write(page);
        for (int way = 0; way < 4 && vif.Connect(); way++)
        {
            uint reference = vif.Device.Grant(page, isReadOnly: true);
            switch (way)
            {
                case 0:
                    vif.Transmit.PublishAhead((uint)vif.Transmit.Entries + 1);
                    break;
                case 1:
                    vif.PutSlot(reference, 0, PacketSize, NetifTransmitFlags.MoreData);
                    vif.Transmit.Publish();
                    break;
                case 2:
                    vif.PutSlot(reference, 0, PacketSize, NetifTransmitFlags.ExtraInfo);
                    vif.Transmit.Publish();
                    break;
                default:
                    PutChain(ref vif, reference, Netif.MinimumSlots * 2);
                    vif.Transmit.Publish();
                    break;
            }

            vif.Device.Notify();
            vif.Device.Await(XenbusState.Closing);
            vif.Device.Close();
        }

        if (vif.Connect())
        {
            Report.Equal("a sound packet"u8, vif.SendOne(vif.Device.Grant(page, isReadOnly: true), 0, PacketSize), Netif.Okay);
            vif.Device.Close();
        }

        GrantTable.RevokeAll();
    }

    /// <summary>A broadcast of a type for experiments (IEEE 802), so that everybody on the bridge gets it and nobody answers.</summary>
    private static void Write(Page page)
    {
        Span<byte> packet = page.Bytes;
        packet.Slice(0, PacketSize).Fill(Payload);
        packet.Slice(0, 6).Fill(0xff);
        packet.Slice(6, 6).Fill(2);
        packet[TypeOffset] = 0x88;
        packet[TypeOffset + 1] = 0xb5;
    }

    /// <summary>A broadcast from an address of the link and one of the network, as IPv4, IPv6 and ARP have it.</summary>
    private static void WriteFrom(Page page, ReadOnlySpan<byte> mac, ushort type, ReadOnlySpan<byte> address)
    {
        const int networkOffset = 14;
        Span<byte> packet = page.Bytes;
        packet.Slice(0, PacketSize).Clear();
        packet.Slice(0, 6).Fill(0xff);
        mac.CopyTo(packet.Slice(6));
        packet[TypeOffset] = (byte)(type >> 8);
        packet[TypeOffset + 1] = (byte)type;
        Span<byte> network = packet.Slice(networkOffset);
        switch (type)
        {
            case 0x0806:
                // RFC 826: Ethernet and IPv4, a request, then who asks.
                ReadOnlySpan<byte> head = [0, 1, 8, 0, 6, 4, 0, 1];
                head.CopyTo(network);
                mac.CopyTo(network.Slice(8));
                address.CopyTo(network.Slice(14));
                break;
            case 0x86dd:
                // RFC 8200: no next header.
                network[0] = 0x60;
                network[6] = 59;
                address.CopyTo(network.Slice(8));
                break;
            default:
                // RFC 791: a header of 20 bytes.
                network[0] = 0x45;
                network[3] = 20;
                address.CopyTo(network.Slice(12));
                break;
        }
    }

    private static void Arrives(
        ReadOnlySpan<byte> what, ref NetFrontend sender, ref NetFrontend receiver, Page page, Page buffer, uint packet, uint place)
    {
        Report.Equal(what, Pass(ref sender, ref receiver, packet, place), PacketSize);
        Report.True("what arrives is what was sent last"u8, buffer.Bytes.Slice(0, PacketSize).SequenceEqual(page.Bytes.Slice(0, PacketSize)));
    }

    private static void PutChain(ref NetFrontend vif, uint reference, int slots)
    {
        for (int i = 0; i < slots; i++)
        {
            ushort size = (ushort)(i == 0 ? PacketSize * slots : PacketSize);
            vif.PutSlot(reference, 0, size, i + 1 < slots ? NetifTransmitFlags.MoreData : NetifTransmitFlags.None);
        }
    }

    /// <summary>Sends a packet to the receiver, which has offered one buffer.</summary>
    /// <returns>What the receiver is told: bytes, or an error; 1 when it is told nothing.</returns>
    private static long Pass(ref NetFrontend sender, ref NetFrontend receiver, uint packet, uint buffer)
    {
        receiver.Offer(buffer);
        Report.Equal("the packet goes out"u8, sender.SendOne(packet, 0, PacketSize), Netif.Okay);
        NetifReceiveResponse* response = (NetifReceiveResponse*)receiver.Receive.Take();
        return response == null ? 1 : response->Status;
    }
}
