using System;
using System.Linq;
using Blanket.Drivers;
using FsCheck.Xunit;

namespace Blanket.Backends.Tests;

public sealed class ChecksumTests
{
    [Property]
    public void Sums_of_pieces_are_the_sum_of_all(byte[] bytes, int seed)
    {
        Random random = new(seed);
        InternetChecksum sum = default;
        for (int done = 0; done < bytes.Length;)
        {
            int length = random.Next(1, bytes.Length - done + 1);
            sum.Add(bytes.AsSpan(done, length));
            sum.Add(default);
            done += length;
        }

        Assert.Equal(Frames.Sum(bytes), sum.Fold());
        Assert.Equal((ushort)~Frames.Sum(bytes), sum.Complement());
    }

    [Property]
    public void Long_runs_do_not_overflow(byte value)
    {
        byte[] bytes = Enumerable.Repeat(value, 70_001).ToArray();
        InternetChecksum sum = default;
        sum.Add(bytes);
        Assert.Equal(Frames.Sum(bytes), sum.Fold());
    }

    [Property(MaxTest = 1000)]
    public void Parsing_any_bytes_stays_inside_them(byte[] bytes, byte kind)
    {
        byte[] header = bytes.Length < 14 ? [.. bytes, .. new byte[14 - bytes.Length]] : bytes;
        (byte, byte)[] types = [(0x08, 0x00), (0x86, 0xdd), (0x81, 0x00), (0x88, 0xa8)];
        (header[12], header[13]) = types[kind % 4];
        if (header.Length > 14)
        {
            header[14] = kind % 4 == 0 ? (byte)(0x40 | (header[14] & 15)) : (byte)0x60;
        }

        PacketHeaders headers = PacketHeaders.Parse(header);
        Assert.InRange(headers.Payload, headers.Transport, header.Length);
        Assert.True(headers.Transport == 0 || headers.Transport + headers.ChecksumOffset + 2 <= headers.Payload);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Headers_are_found(bool ipv6, bool vlan)
    {
        byte[] frame = Frames.Tcp(Frames.Mac(1), Frames.Mac(2), 10, ipv6, vlan: vlan);
        PacketHeaders headers = PacketHeaders.Parse(frame);
        Assert.Equal(vlan ? 18 : 14, headers.Network);
        Assert.Equal(headers.Network + (ipv6 ? 40 : 20), headers.Transport);
        Assert.Equal(headers.Transport + 32, headers.Payload);
        Assert.Equal(PacketHeaders.Tcp, headers.Protocol);
    }

    [Fact]
    public void Fragments_have_no_transport_header()
    {
        byte[] frame = Frames.Tcp(Frames.Mac(1), Frames.Mac(2), 10);
        frame[20] = 0x20;
        Assert.Equal(0, PacketHeaders.Parse(frame).Transport);
    }

    [Fact]
    public void Ipv6_extension_headers_are_passed_over()
    {
        byte[] frame = Frames.Tcp(Frames.Mac(1), Frames.Mac(2), 10, ipv6: true);
        byte[] options = new byte[16];
        options[0] = 6;
        options[1] = 1;
        frame[20] = 60;
        byte[] longer = [.. frame[..54], .. options, .. frame[54..]];
        PacketHeaders headers = PacketHeaders.Parse(longer);
        Assert.Equal(70, headers.Transport);
        longer[54] = 44;
        Assert.Equal(0, PacketHeaders.Parse(longer).Transport);
    }
}
