using System;
using System.Buffers.Binary;
using System.Net;
using Blanket.Abi;

namespace Blanket.Backends.Tests;

/// <summary>Which packets a guest with <c>ip=</c> in its configuration may send.</summary>
public sealed class AddressFilterTests
{
    private static readonly byte[] s_mac = Frames.Mac(1);

    private static AddressFilter Filter(params string[] networks)
    {
        BootBundleVif vif = new() { AddressCount = (uint)networks.Length };
        s_mac.CopyTo((Span<byte>)vif.Mac);
        for (int i = 0; i < networks.Length; i++)
        {
            IPNetwork network = IPNetwork.Parse(networks[i]);
            BootBundleAddress address = new() { PrefixLength = (byte)network.PrefixLength };
            address.Family = network.BaseAddress.GetAddressBytes().Length == 4 ? BootBundle.AddressIPv4 : BootBundle.AddressIPv6;
            network.BaseAddress.TryWriteBytes(address.Bytes, out _);
            vif.Addresses[i] = address;
        }

        return new AddressFilter(in vif);
    }

    private static byte[] Frame(ushort type, int length, byte[]? source = null)
    {
        byte[] frame = new byte[14 + length];
        Frames.Broadcast.CopyTo(frame, 0);
        (source ?? s_mac).CopyTo(frame, 6);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), type);
        return frame;
    }

    private static byte[] Ipv4(string source, byte protocol = 6, ushort from = 1000, ushort to = 80, ushort fragment = 0, int length = 40)
    {
        byte[] frame = Frame(0x0800, length);
        frame[14] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(20), fragment);
        frame[23] = protocol;
        IPAddress.Parse(source).GetAddressBytes().CopyTo(frame, 26);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(34), from);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(36), to);
        return frame;
    }

    private static byte[] Arp(string sender, byte[]? hardware = null)
    {
        byte[] frame = Frame(0x0806, 28);
        (hardware ?? s_mac).CopyTo(frame, 22);
        IPAddress.Parse(sender).GetAddressBytes().CopyTo(frame, 28);
        return frame;
    }

    private static byte[] Ipv6(string source, byte next = 6, byte icmp = 0, string target = "::")
    {
        byte[] frame = Frame(0x86dd, 64);
        frame[14] = 0x60;
        frame[20] = next;
        IPAddress.Parse(source).GetAddressBytes().CopyTo(frame, 22);
        frame[54] = icmp;
        IPAddress.Parse(target).GetAddressBytes().CopyTo(frame, 62);
        return frame;
    }

    [Fact]
    public void NamedAddressesPassAndOthersDoNot()
    {
        AddressFilter filter = Filter("10.0.0.2/32", "192.168.4.0/23", "2001:db8::2/128");
        Assert.True(filter.Allows(Ipv4("10.0.0.2")));
        Assert.True(filter.Allows(Ipv4("192.168.5.255")));
        Assert.False(filter.Allows(Ipv4("10.0.0.3")));
        Assert.False(filter.Allows(Ipv4("192.168.6.0")));
        Assert.True(filter.Allows(Ipv6("2001:db8::2")));
        Assert.False(filter.Allows(Ipv6("2001:db8::3")));

        // The bytes of an address of one family are none of the other.
        Assert.False(Filter("2001:db8::/32").Allows(Ipv4("32.1.13.184")));
    }

    [Fact]
    public void OnlyTheOwnHardwareAddressPasses()
    {
        AddressFilter filter = Filter("10.0.0.2/32");
        byte[] frame = Ipv4("10.0.0.2");
        Frames.Mac(2).CopyTo(frame, 6);
        Assert.False(filter.Allows(frame));
        Assert.False(filter.Allows(Arp("10.0.0.2", Frames.Mac(2))));
    }

    [Fact]
    public void WhatNeedsNoAddressYetPasses()
    {
        AddressFilter filter = Filter("10.0.0.2/32", "2001:db8::2/128");
        Assert.True(filter.Allows(Ipv4("0.0.0.0", 17, 68, 67)));
        Assert.False(filter.Allows(Ipv4("0.0.0.0", 17, 68, 53)));
        Assert.False(filter.Allows(Ipv4("0.0.0.0", 6, 68, 67)));
        Assert.False(filter.Allows(Ipv4("0.0.0.0", 17, 68, 67, fragment: 0x2000)));
        Assert.True(filter.Allows(Arp("0.0.0.0")));
        Assert.True(filter.Allows(Ipv6("::")));
        Assert.True(filter.Allows(Ipv6("fe80::1")));
    }

    [Fact]
    public void ClaimsOfOthersAddressesAreRefused()
    {
        AddressFilter filter = Filter("10.0.0.2/32", "2001:db8::2/128");
        Assert.True(filter.Allows(Arp("10.0.0.2")));
        Assert.False(filter.Allows(Arp("10.0.0.1")));
        Assert.True(filter.Allows(Ipv6("fe80::1", 58, 136, "2001:db8::2")));
        Assert.False(filter.Allows(Ipv6("fe80::1", 58, 136, "2001:db8::1")));
        Assert.False(filter.Allows(Ipv6("fe80::1", 58, 136)));
        Assert.True(filter.Allows(Ipv6("fe80::1", 58, 135, "2001:db8::1")));
    }

    /// <summary>Extension headers hide nothing, and headers without an end are refused.</summary>
    [Fact]
    public void ClaimsBehindExtensionHeadersAreFound()
    {
        AddressFilter filter = Filter("2001:db8::2/128");
        byte[] plain = Ipv6("fe80::1", 58, 136, "2001:db8::1");
        byte[] hidden = [.. plain[..54], 58, 0, 0, 0, 0, 0, 0, 0, .. plain[54..]];
        hidden[20] = 0;
        Assert.False(filter.Allows(hidden));
        plain = Ipv6("fe80::1", 58, 136, "2001:db8::2");
        byte[] honest = [.. plain[..54], 58, 0, 0, 0, 0, 0, 0, 0, .. plain[54..]];
        honest[20] = 60;
        Assert.True(filter.Allows(honest));
        honest[55] = 255;
        Assert.False(filter.Allows(honest));
    }

    [Theory]
    [InlineData(0x8100)]
    [InlineData(0x88a8)]
    [InlineData(0x8035)]
    [InlineData(0x88b5)]
    public void OtherProtocolsAreRefused(int type) => Assert.False(Filter("10.0.0.2/32").Allows(Frame((ushort)type, 60)));

    /// <summary>A packet that is cut anywhere is judged without a look behind its end, and a header that is not whole is refused.</summary>
    [Fact]
    public void CutPacketsAreRefused()
    {
        AddressFilter filter = Filter("10.0.0.2/32", "2001:db8::2/128");
        foreach ((byte[] frame, int least) in new[] { (Ipv4("10.0.0.2"), 34), (Arp("10.0.0.2"), 42), (Ipv6("2001:db8::2"), 54), (Ipv6("fe80::1", 58, 136, "2001:db8::2"), 78), (Ipv4("0.0.0.0", 17, 68, 67), 38) })
        {
            for (int length = 0; length <= frame.Length; length++)
            {
                bool isAllowed = filter.Allows(frame.AsSpan(0, length));
                Assert.True(isAllowed == (length >= least) || (length == 54 && frame[20] == 58), $"{length} bytes of a packet that needs {least}: {isAllowed}");
            }
        }
    }
}
