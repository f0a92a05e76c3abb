using System;
using System.Linq;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests;

public sealed class NetTests
{
    private static readonly FakeVirtioOptions s_modern = new FakeVirtioOptions().With(FakeNetDevice.Everything);
    private static readonly FakeVirtioOptions s_plain = new FakeVirtioOptions().With(FakeNetDevice.Mac);

    private readonly FakeMachine _machine = new();

    public static TheoryData<FakeVirtioOptions> Kinds => new()
    {
        s_modern,
        s_plain,
        s_plain with { Features = FakeVirtioOptions.Version1 },
        s_modern with { Features = FakeVirtioOptions.Version1 | FakeVirtioOptions.EventIndex | FakeNetDevice.Everything },
        s_modern with { Vectors = 0 },
        s_modern with { IsLegacy = true },
        s_plain with { IsLegacy = true },
        s_plain with { IsLegacy = true, Features = FakeVirtioOptions.AnyLayout },
        s_plain with { IsLegacy = true, Features = 0, Vectors = 0 },
    };

    private (FakeNetDevice Device, NetworkDevice Network, RecordingNetworkClient Client) Start(
        FakeVirtioOptions options, int pairs = 1, int buffers = 32, Action<FakeNetDevice>? prepare = null)
    {
        FakeNetDevice device = new(_machine, options, pairs);
        prepare?.Invoke(device);
        _machine.Probe();
        Assert.True(_machine.Found.NetworkCount == 1, _machine.LogText.Text);
        NetworkDevice network = _machine.Found.Network(0);
        RecordingNetworkClient client = new(network);
        network.Client = client;
        for (int i = 0; i < network.QueueCount; i++)
        {
            client.Fill(i, buffers);
        }

        _machine.Interrupts.Deliver();
        return (device, network, client);
    }

    private static byte[] Packet(int length, int seed = 1)
    {
        byte[] packet = new byte[length];
        new Random(seed).NextBytes(packet);
        return packet;
    }

    // A TCP packet as far as the driver looks: the data offset at 34 + 12 says 32 bytes of header.
    private static byte[] TcpPacket(int length)
    {
        byte[] packet = Packet(length);
        packet[34 + 12] = 0x80;
        return packet;
    }

    private static DmaSegment[] Place(byte[] packet, params int[] parts)
    {
        DmaSegment[] segments = new DmaSegment[parts.Length];
        int done = 0;
        for (int i = 0; i < parts.Length; i++)
        {
            ulong page = FakeMachine.NewPage();
            packet.AsSpan(done, parts[i]).CopyTo(PhysicalMemory.Bytes(page + 64, parts[i]));
            segments[i] = new DmaSegment(page + 64, (uint)parts[i]);
            done += parts[i];
        }

        Assert.Equal(packet.Length, done);
        return segments;
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void SendsAndReceives(FakeVirtioOptions options)
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(options);
        byte[] sent = Packet(1000, 2);
        Assert.True(network.TrySend(0, Place(sent, 14, 986), default, 5));
        network.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal(sent, device.Sent[0].Packet);
        Assert.All(device.Sent[0].Header, b => Assert.Equal(0, b));
        Assert.Equal([5u], client.SentTags);

        byte[] received = Packet(1514, 3);
        Assert.True(device.Inject(0, received));
        _machine.Interrupts.Deliver();
        Assert.Equal(received, client.Packets[0].Packet);
        Assert.False(client.Packets[0].Offload.NeedsChecksum);
        Assert.Equal(SegmentationType.None, client.Packets[0].Offload.Segmentation);
        Assert.Equal(32, client.Outstanding);
    }

    [Fact]
    public void DescribesItself()
    {
        (FakeNetDevice device, NetworkDevice network, _) = Start(s_modern, prepare: d => d.SetConfiguration16(10, 9000));
        Assert.Equal([0x52, 0x54, 0, 1, 2, 3], network.MacAddress.ToArray());
        Assert.Equal(9000, network.Capabilities.Mtu);
        Assert.True(network.IsLinkUp);
        Assert.True(network.Capabilities.TransmitChecksum && network.Capabilities.TransmitTcpIpv4 && network.Capabilities.TransmitTcpIpv6);
        Assert.Equal(31u, network.Capabilities.MaximumSegments);
        Assert.Equal(4096u, network.Capabilities.ReceiveBufferSize);
        Assert.True(device.IsPromiscuous);
        Assert.Contains("MAC 52:54:00:01:02:03", _machine.LogText.Text);
    }

    [Fact]
    public void MakesUpALocalAddressWithoutOne()
    {
        (_, NetworkDevice network, _) = Start(new FakeVirtioOptions());
        Assert.Equal(2, network.MacAddress[0] & 3);
        Assert.False(network.Capabilities.TransmitChecksum);
    }

    [Fact]
    public void LargeFramesFitOneBufferWithoutMergeableBuffers()
    {
        (_, NetworkDevice network, _) = Start(s_plain.With(FakeNetDevice.Mtu), prepare: d => d.SetConfiguration16(10, 9000));
        Assert.Equal(4096 - 12 - 18, network.Capabilities.Mtu);
    }

    [Fact]
    public void DependentFeaturesAreNotTakenAlone()
    {
        ulong alone = FakeNetDevice.GuestTso4 | FakeNetDevice.HostTso4 | FakeNetDevice.GuestEcn | FakeNetDevice.HostEcn
            | FakeNetDevice.MultiQueue | FakeNetDevice.ControlReceive;
        (FakeNetDevice device, NetworkDevice network, _) = Start(new FakeVirtioOptions().With(alone));
        Assert.Equal(0ul, device.DriverFeatures & alone);
        Assert.False(network.Capabilities.TransmitTcpIpv4);
    }

    [Fact]
    public void SegmentationToTheDevice()
    {
        (FakeNetDevice device, NetworkDevice network, _) = Start(s_modern);
        PacketOffload offload = new()
        {
            NeedsChecksum = true,
            ChecksumStart = 34,
            ChecksumOffset = 16,
            Segmentation = SegmentationType.TcpIpv4,
            HasEcn = true,
            HeaderLength = 66,
            SegmentSize = 1448,
        };
        byte[] packet = TcpPacket(9000);
        Assert.True(network.TrySend(0, Place(packet, 66, 4000, 4000, 934), in offload, 1));
        offload.Segmentation = SegmentationType.TcpIpv6;
        offload.HasEcn = false;
        Assert.True(network.TrySend(0, Place(packet, 1000, 4000, 4000), in offload, 2));
        network.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal([1, 0x81, 66, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0], device.Sent[0].Header);
        Assert.Equal([1, 4, 66, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0], device.Sent[1].Header);
        Assert.Equal(packet, device.Sent[1].Packet);
    }

    [Fact]
    public void PacketsThatTheDeviceMustNotSeeAreDropped()
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_plain);
        DmaSegment[] good = Place(Packet(100), 100);
        PacketOffload checksum = new() { NeedsChecksum = true, ChecksumStart = 34, ChecksumOffset = 16 };
        Assert.True(network.TrySend(0, good, in checksum, 1));
        Assert.True(network.TrySend(0, Place(Packet(10), 10), default, 2));
        Assert.True(network.TrySend(0, [], default, 3));
        Assert.True(network.TrySend(0, [new DmaSegment(good[0].Address, 0)], default, 4));
        Assert.True(network.TrySend(0, Enumerable.Repeat(good[0], 40).ToArray(), default, 5));
        PacketOffload segmented = new() { Segmentation = SegmentationType.TcpIpv4, SegmentSize = 100, HeaderLength = 54 };
        Assert.True(network.TrySend(0, good, in segmented, 6));
        Assert.True(network.TrySend(0, [new DmaSegment(good[0].Address, uint.MaxValue), new DmaSegment(good[0].Address, 100)], default, 7));
        network.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Empty(device.Sent);
        Assert.Equal([1u, 2, 3, 4, 5, 6, 7], client.SentTags);
    }

    [Theory]
    [InlineData(34, 16, 1448, 66, 100, false)] // header beyond the packet is told by its length below
    [InlineData(99, 0, 0, 0, 100, false)]
    [InlineData(98, 0, 0, 0, 100, true)]
    [InlineData(65535, 65535, 0, 0, 100, false)]
    [InlineData(13, 2, 0, 0, 100, false)]
    [InlineData(34, 16, 0, 66, 1000, false)]
    [InlineData(34, 16, 500, 53, 1000, false)]
    [InlineData(34, 16, 500, 54, 1000, true)]
    [InlineData(34, 16, 500, 1001, 1000, false)]
    public void OffloadOfPacketsToSendIsChecked(ushort start, ushort offset, ushort size, ushort header, int length, bool isFine)
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern);
        bool isSegmented = length == 1000 || size != 0;
        PacketOffload offload = new()
        {
            NeedsChecksum = true,
            ChecksumStart = start,
            ChecksumOffset = offset,
            Segmentation = isSegmented ? SegmentationType.TcpIpv4 : SegmentationType.None,
            SegmentSize = size,
            HeaderLength = length == 100 && isSegmented ? (ushort)101 : header,
        };
        Assert.True(network.TrySend(0, Place(Packet(length), length), in offload, 1));
        network.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal(isFine ? 1 : 0, device.Sent.Count);
        Assert.Equal([1u], client.SentTags);
    }

    [Fact]
    public void MergedBuffersMakeOnePacket()
    {
        (FakeNetDevice device, _, RecordingNetworkClient client) = Start(s_modern);
        foreach (int length in new[] { 60, 4084, 4085, 8180, 8181, 65550 })
        {
            byte[] packet = Packet(length, length);
            Assert.True(device.Inject(0, packet));
            _machine.Interrupts.Deliver();
            Assert.Equal(packet, client.Packets[^1].Packet);
        }

        Assert.Equal(6, client.Packets.Count);
        Assert.Equal(0, client.Returned);
        Assert.Equal(32, client.Outstanding);
    }

    [Fact]
    public void SegmentationFromTheDevice()
    {
        (FakeNetDevice device, _, RecordingNetworkClient client) = Start(s_modern);
        Assert.True(device.Inject(0, TcpPacket(9000), 1, 1, 1448, 34, 16));
        Assert.True(device.Inject(0, TcpPacket(9000), 1, 0x84, 1428, 34, 16));
        Assert.True(device.Inject(0, Packet(500), 2));
        Assert.True(device.Inject(0, Packet(500), 1, 0, 0, 14, 2));
        _machine.Interrupts.Deliver();
        PacketOffload first = client.Packets[0].Offload;
        Assert.True(first.NeedsChecksum);
        Assert.Equal((SegmentationType.TcpIpv4, 1448, 66, 34, 16),
            (first.Segmentation, first.SegmentSize, first.HeaderLength, first.ChecksumStart, first.ChecksumOffset));
        Assert.Equal(SegmentationType.TcpIpv6, client.Packets[1].Offload.Segmentation);
        Assert.True(client.Packets[1].Offload.HasEcn);
        Assert.True(client.Packets[2].Offload.ChecksumIsValid);
        Assert.False(client.Packets[2].Offload.NeedsChecksum);
        Assert.Equal((14, 2), (client.Packets[3].Offload.ChecksumStart, client.Packets[3].Offload.ChecksumOffset));
    }

    [Theory]
    [InlineData(1, 0, 0, 499, 0)] // the checksum field is outside the packet
    [InlineData(1, 0, 0, 65535, 65535)]
    [InlineData(1, 0, 0, 2, 0)] // in the Ethernet header
    [InlineData(0, 1, 1448, 34, 16)] // segmentation without a partial checksum
    [InlineData(1, 1, 0, 34, 16)] // no segment size
    [InlineData(1, 3, 1448, 34, 16)] // UDP fragmentation was not negotiated
    [InlineData(1, 1, 1448, 34, 6)] // not TCP's checksum
    [InlineData(1, 1, 1448, 480, 16)] // the TCP header is not in the packet
    [InlineData(1, 0x7f, 1448, 34, 16)]
    [InlineData(1, 0x80, 1448, 34, 16)]
    public void PacketsWithHeadersThatDoNotFitAreDropped(byte flags, byte type, ushort size, ushort start, ushort offset)
    {
        (FakeNetDevice device, _, RecordingNetworkClient client) = Start(s_modern);
        Assert.True(device.Inject(0, TcpPacket(500), flags, type, size, start, offset));
        Assert.True(device.Inject(0, Packet(60)));
        _machine.Interrupts.Deliver();
        Assert.Single(client.Packets);
        Assert.Equal(1, client.Returned);
        Assert.Equal(32, client.Outstanding);
        Assert.Contains("packet's header", _machine.LogText.Text);
    }

    [Fact]
    public void OffloadThatWasNotNegotiatedMeansNothing()
    {
        (FakeNetDevice device, _, RecordingNetworkClient client) = Start(s_plain);
        Assert.True(device.Inject(0, Packet(60), 3));
        Assert.True(device.Inject(0, TcpPacket(600), 1, 1, 100, 34, 16));
        _machine.Interrupts.Deliver();
        Assert.Single(client.Packets);
        Assert.False(client.Packets[0].Offload.ChecksumIsValid || client.Packets[0].Offload.NeedsChecksum);
    }

    [Theory]
    [InlineData(5u)]
    [InlineData(11u)]
    [InlineData(13u)]
    [InlineData(4097u)]
    [InlineData(uint.MaxValue)]
    public void WrongReceiveLengthsAreSurvived(uint length)
    {
        (FakeNetDevice device, _, RecordingNetworkClient client) = Start(s_modern);
        Assert.True(device.Queues[0].TryPop(out FakeChain? chain));
        PhysicalMemory.Write<ushort>(chain!.Buffers[0].Address + 10, 1);
        device.Complete(0, chain, length);
        Assert.True(device.Inject(0, Packet(60)));
        _machine.Interrupts.Deliver();
        Assert.Single(client.Packets);
        Assert.Equal(1, client.Returned);
        Assert.Equal(1, device.Resets);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(18)]
    [InlineData(65535)]
    public void WrongBufferCountsEndInAReset(ushort count)
    {
        (FakeNetDevice device, _, RecordingNetworkClient client) = Start(s_modern);
        Assert.True(device.Queues[0].TryPop(out FakeChain? chain));
        PhysicalMemory.Write(chain!.Buffers[0].Address + 10, count);
        device.Complete(0, chain, 100);
        _machine.Interrupts.Deliver();
        Assert.Equal(2, device.Resets);
        Assert.Equal(32, client.Returned);
        Assert.Equal(32, client.Outstanding);
        Assert.True(device.IsPromiscuous);
        Assert.True(device.Inject(0, Packet(60)));
        _machine.Interrupts.Deliver();
        Assert.Single(client.Packets);
    }

    [Fact]
    public void BuffersThatAreNotFilledUpDropThePacket()
    {
        (FakeNetDevice device, _, RecordingNetworkClient client) = Start(s_modern);
        FakeVirtioQueue queue = device.Queues[0];
        Assert.True(queue.TryPop(out FakeChain? first));
        Assert.True(queue.TryPop(out FakeChain? second));
        PhysicalMemory.Write<ushort>(first!.Buffers[0].Address + 10, 2);
        queue.Taken.Clear();
        queue.PushElement(first.Head, 1000, 0);
        queue.PushElement(second!.Head, 1000, 1);
        queue.Expose(2);
        device.InterruptQueue(0);
        _machine.Interrupts.Deliver();
        Assert.Empty(client.Packets);
        Assert.Equal(2, client.Returned);
        Assert.Equal(1, device.Resets);
    }

    [Fact]
    public void AResetDropsWhatWasToBeSentAndReturnsBuffers()
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern);
        device.IsAutomatic = false;
        DmaSegment[] packet = Place(Packet(100), 100);
        for (uint i = 0; i < 10; i++)
        {
            Assert.True(network.TrySend(0, packet, default, i));
        }

        network.Kick(0);
        device.IsAutomatic = true;
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.Equal(Enumerable.Range(0, 10).Select(i => (uint)i), client.SentTags);
        Assert.Equal(32, client.Returned);
        Assert.Equal(32, client.Outstanding);
        Assert.True(network.TrySend(0, packet, default, 77));
        network.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Single(device.Sent);
        Assert.Equal(77u, client.SentTags[^1]);
    }

    [Fact]
    public void BuffersThatWereRefusedDuringAResetAreAskedFor()
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern, buffers: 1);
        client.Refills = false;
        Assert.True(device.Inject(0, Packet(60)));
        _machine.Interrupts.Deliver();
        Assert.Equal(0, client.Outstanding);
        int rooms = client.Rooms;
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.Equal(rooms + 1, client.Rooms);
        client.Fill(0, 1);
        Assert.True(device.Inject(0, Packet(60)));
        Assert.True(network.IsLinkUp);
    }

    [Fact]
    public void AFailedDeviceTakesPacketsAndLosesThem()
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern);
        device.IgnoresReset = true;
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.False(network.IsLinkUp);
        Assert.Equal(1, client.LinkChanges);
        Assert.Equal(32, client.Returned);
        Assert.Equal(0, client.Outstanding);
        DmaSegment[] packet = Place(Packet(100), 100);
        for (uint i = 0; i < 2000; i++)
        {
            Assert.True(network.TrySend(0, packet, default, i));
            network.Kick(0);
            _machine.Interrupts.Deliver();
        }

        Assert.Equal(2000, client.SentTags.Count);
        Assert.False(network.TrySupplyReceiveBuffer(0, FakeMachine.NewPage(), 1));
    }

    [Fact]
    public void LinkAndMtuChangesAreReported()
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern);
        device.SetConfiguration16(6, 0);
        device.ConfigurationChanged();
        _machine.Interrupts.Deliver();
        Assert.False(network.IsLinkUp);
        device.SetConfiguration16(6, 1);
        device.SetConfiguration16(10, 1400);
        device.ConfigurationChanged();
        _machine.Interrupts.Deliver();
        Assert.True(network.IsLinkUp);
        Assert.Equal(1400, network.Capabilities.Mtu);
        Assert.Equal(2, client.LinkChanges);
    }

    [Fact]
    public void PairsAreUsedAfterTheDeviceAgreed()
    {
        _machine.Interrupts.Cpus = 4;
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern, pairs: 8, buffers: 8);
        Assert.Equal(4, network.QueueCount);
        Assert.Equal(4, device.Pairs);
        for (int pair = 0; pair < 4; pair++)
        {
            Assert.True(network.TrySend(pair, Place(Packet(100), 100), default, (uint)pair));
            network.Kick(pair);
            Assert.True(device.Inject(pair, Packet(60 + pair)));
        }

        _machine.Interrupts.Deliver();
        Assert.Equal([0, 1, 2, 3], device.Sent.Select(s => s.Pair));
        Assert.Equal([(0, 60), (1, 61), (2, 62), (3, 63)], client.Packets.Select(p => (p.Queue, p.Packet.Length)).Order());
        Assert.Equal(device.Queues[2].Vector, device.Queues[3].Vector);
        Assert.NotEqual(device.Queues[0].Vector, device.Queues[2].Vector);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void OnePairWhenTheDeviceDoesNotAgree(bool isSilent)
    {
        _machine.Interrupts.Cpus = 2;
        (FakeNetDevice device, NetworkDevice network, _) = Start(s_modern, pairs: 2, prepare: d =>
        {
            d.IsControlSilent = isSilent;
            d.Ack = 1;
        });
        Assert.Equal(1, network.QueueCount);
        Assert.Equal(0ul, device.DriverFeatures & FakeNetDevice.MultiQueue);
        Assert.True(device.Inject(0, Packet(60)));
    }

    [Fact]
    public void PairsAreAskedForAgainAfterAReset()
    {
        _machine.Interrupts.Cpus = 2;
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern, pairs: 2);
        device.IsControlSilent = true;
        device.AskForReset();
        _machine.Interrupts.Deliver();
        DmaSegment[] packet = Place(Packet(100), 100);
        Assert.True(network.TrySend(0, packet, default, 1));
        Assert.False(network.TrySend(1, packet, default, 2));
        int rooms = client.Rooms;
        device.IsControlSilent = false;
        device.Process(4);
        _machine.Interrupts.Deliver();
        Assert.Equal(2, device.Pairs);
        Assert.Equal(rooms + 1, client.Rooms);
        Assert.True(network.TrySend(1, packet, default, 2));
        network.Kick(0);
        network.Kick(1);
        _machine.Interrupts.Deliver();
        Assert.Equal([1u, 2u], client.SentTags.Order());
    }

    [Fact]
    public void ADeviceThatTakesItsPairsBackIsGivenUp()
    {
        _machine.Interrupts.Cpus = 2;
        (FakeNetDevice device, NetworkDevice network, _) = Start(s_modern, pairs: 2);
        device.Ack = 1;
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.False(device.IsRunning);
        Assert.False(network.IsLinkUp);
    }

    [Fact]
    public void SentPacketsAreReclaimedInBatches()
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern);
        device.IsAutomatic = false;
        DmaSegment[] packet = Place(Packet(100), 100);
        // The first completion asks for the rest to be gathered.
        Assert.True(network.TrySend(0, packet, default, 0));
        network.Kick(0);
        device.ProcessTransmit(1);
        _machine.Interrupts.Deliver();
        for (uint i = 1; i <= 100; i++)
        {
            Assert.True(network.TrySend(0, packet, default, i));
        }

        network.Kick(0);
        int raised = _machine.Interrupts.Raised;
        FakeVirtioQueue queue = device.Queues[1];
        while (queue.TryPop(out FakeChain? chain))
        {
            device.Complete(1, chain!, 0);
            _machine.Interrupts.Deliver();
        }

        // A quarter of what is left remains at each step: a few interrupts, and none is left behind.
        Assert.InRange(_machine.Interrupts.Raised - raised, 1, 8);
        Assert.Equal(101, client.SentTags.Count);
    }

    [Fact]
    public void AFullTransmitQueueRefusesAndTells()
    {
        (FakeNetDevice device, NetworkDevice network, RecordingNetworkClient client) = Start(s_modern);
        device.IsAutomatic = false;
        DmaSegment[] packet = Place(Packet(100), 50, 50);
        uint tag = 0;
        while (network.TrySend(0, packet, default, tag))
        {
            tag++;
        }

        Assert.Equal(256u, tag);
        network.Kick(0);
        device.ProcessTransmit(1);
        _machine.Interrupts.Deliver();
        Assert.Equal(1, client.Rooms);
        Assert.Equal(256, client.SentTags.Count);
    }

    [Property(MaxTest = 20)]
    public void TrafficBothWaysKeepsEveryBufferAndPacket(int seed)
    {
        FakeMachine machine = new(512);
        Random random = new(seed);
        FakeVirtioOptions options = random.Next(3) switch
        {
            0 => s_modern,
            1 => s_modern with { IsLegacy = true },
            _ => s_plain with { Features = FakeVirtioOptions.Version1 | FakeNetDevice.Mergeable },
        };
        FakeNetDevice device = new(machine, options);
        machine.Probe();
        NetworkDevice network = machine.Found.Network(0);
        RecordingNetworkClient client = new(network);
        network.Client = client;
        client.Fill(0, 64);
        ulong page = FakeMachine.NewPage();
        uint sent = 0;
        int injected = 0;
        for (int step = 0; step < 1500; step++)
        {
            device.IsAutomatic = random.Next(3) != 0;
            switch (random.Next(3))
            {
                case 0:
                    DmaSegment[] segments = Enumerable.Repeat(new DmaSegment(page, 400), random.Next(1, 10)).ToArray();
                    sent += network.TrySend(0, segments, default, sent) ? 1u : 0;
                    break;
                case 1:
                    injected += device.Inject(0, Packet(random.Next(14, 20_000), step)) ? 1 : 0;
                    break;
                default:
                    network.Kick(0);
                    machine.Interrupts.Deliver();
                    break;
            }
        }

        device.IsAutomatic = true;
        network.Kick(0);
        device.ProcessTransmit(1);
        machine.Interrupts.Deliver();
        Assert.Equal(Enumerable.Range(0, (int)sent).Select(i => (uint)i), client.SentTags);
        Assert.Equal(injected, client.Packets.Count);
        Assert.Equal(64, client.Outstanding);
        Assert.Equal(1, device.Resets);
    }
}
