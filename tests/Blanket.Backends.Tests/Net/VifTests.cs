using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers;

namespace Blanket.Backends.Tests;

public sealed class VifTests
{
    private readonly TestMachine _machine = new(4096);
    private readonly NetworkSwitch _switch;
    private readonly FakeNic _nic = new();

    public VifTests()
    {
        _switch = NetworkSwitch.Create(_machine.Host, 12345)!;
    }

    private static NetifExtraInfo Large(int size, bool ipv6 = false) =>
        new() { Type = Netif.ExtraGso, GsoSize = (ushort)size, GsoType = ipv6 ? Netif.GsoTcpIpv6 : Netif.GsoTcpIpv4 };

    private void AddNic(FakeNic? nic = null) => Assert.Equal(0, _switch.CreateUplink(nic ?? _nic));

    private TestGuest AddGuest(int number, out VifDevice vif, ulong rate = 0, uint interval = 0, int vcpus = 1)
    {
        TestGuest guest = _machine.CreateGuest((ushort)number, vcpus);
        vif = AddVif(guest, number, rate, interval);
        return guest;
    }

    private VifDevice AddVif(TestGuest guest, int number, ulong rate = 0, uint interval = 0)
    {
        VifSettings settings = new() { DeviceId = 0, Mtu = 1500, RateBytes = rate, RateIntervalMicroseconds = interval };
        Frames.Mac(number).CopyTo(settings.Address);
        Assert.Equal(0, VifDevice.Create(_machine.Bus, _machine.Owner, guest.Domain, _switch, settings, out VifDevice? vif));
        _machine.Settle();
        return vif!;
    }

    private FakeNetfront.Queue Connect(int number, bool features = true, int buffers = 200)
    {
        FakeNetfront front = new(AddGuest(number, out _), 0);
        front.Connect(features: features, buffers: buffers);
        return front.Queues[0];
    }

    [Fact]
    public void Nodes_are_those_of_a_toolstack_and_offered_features()
    {
        AddGuest(1, out _, rate: 1000, interval: 50000);
        string front = "/local/domain/1/device/vif/0";
        string back = "/local/domain/32751/backend/vif/1/0";
        Assert.Equal(back, _machine.Read($"{front}/backend"));
        Assert.Equal("02:00:00:00:00:01", _machine.Read($"{front}/mac"));
        Assert.Equal("0", _machine.Read($"{front}/handle"));
        Assert.Equal("1500", _machine.Read($"{front}/mtu"));
        Assert.Equal("n32751 r1", _machine.Permissions($"{front}/mtu"));
        Assert.Equal("n1 r32751", _machine.Permissions($"{front}/state"));
        Assert.Equal("1000,50000", _machine.Read($"{back}/rate"));
        Assert.Equal("1", _machine.Read($"{back}/multi-queue-max-queues"));
        foreach (string feature in new[] { "sg", "gso-tcpv4", "gso-tcpv6", "ipv6-csum-offload", "rx-copy", "split-event-channels" })
        {
            Assert.Equal("1", _machine.Read($"{back}/feature-{feature}"));
        }

        Assert.Equal("2", _machine.Read($"{back}/state"));
    }

    [Theory]
    [InlineData(60, 4096, 0)]
    [InlineData(256, 100, 7)]
    [InlineData(257, 4096, 4000)]
    [InlineData(1514, 4096, 0)]
    [InlineData(1514, 100, 4090)]
    public void A_packet_reaches_the_outside_and_its_pages_are_held_until_then(int length, int piece, int offset)
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        byte[] packet = Frames.Plain(Frames.Mac(77), Frames.Mac(1), length);
        queue.Put(packet, piece: Math.Max(piece, (length + 17) / 18), offset: offset > 4096 - (length + 17) / 18 ? 0 : offset);
        int slots = queue.Sending;
        queue.Transmit.Push();
        Assert.Equal(1, _nic.PendingCount);
        List<short> early = queue.TakeAnswers();
        Assert.Equal(length <= 256 ? slots : 0, early.Count);
        _nic.Finish();
        Assert.Equal(packet, Assert.Single(_nic.Sent).Bytes);
        Assert.All(early.Concat(queue.TakeAnswers()), status => Assert.Equal(0, status));
        Assert.Equal(0, queue.Sending);
    }

    [Fact]
    public void Many_packets_of_many_slots_come_back_together()
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        TestGuest guest = _machine.LastGuest!;
        int idle = guest.PinCount;
        byte[] packet = Frames.Plain(Frames.Mac(77), Frames.Mac(1), 1512);
        for (int i = 0; i < 12; i++)
        {
            queue.Put(packet, piece: 84);
        }

        queue.Transmit.Push();
        Assert.Equal(12 * 18, queue.Sending);
        Assert.Equal(idle + 12 * 18, guest.PinCount);
        _nic.Finish();
        _machine.Settle();
        Assert.Equal(Enumerable.Repeat(packet, 12), _nic.Sent.Select(sent => sent.Bytes));
        Assert.Equal(idle, guest.PinCount);
        Assert.All(queue.TakeAnswers(), status => Assert.Equal(0, status));
        Assert.Equal(0, queue.Sending);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_packet_with_one_page_that_is_not_granted_holds_none(int bad)
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        TestGuest guest = _machine.LastGuest!;
        int idle = guest.PinCount;
        for (int i = 0; i < 3; i++)
        {
            ulong frame = i == bad ? 0 : guest.NewFrame();
            uint reference = i == bad ? uint.MaxValue : guest.Grant(frame, readOnly: true);
            queue.PutSlot(reference, frame, 0, i < 2 ? NetifTransmitFlags.MoreData : 0, (ushort)(i == 0 ? 900 : 300));
        }

        queue.Transmit.Push();
        _machine.Settle();
        Assert.Equal(idle, guest.PinCount);
        Assert.Equal([Netif.Error, Netif.Error, Netif.Error], queue.TakeAnswers());
        Assert.Empty(_nic.Sent);
        Assert.Equal(0, _nic.PendingCount);
    }

    [Fact]
    public void Both_halves_are_notified_by_their_own_rules()
    {
        AddNic();
        TestGuest guest = AddGuest(1, out _);
        FakeNetfront front = new(guest, 0);
        front.Connect(buffers: 10);
        FakeNetfront.Queue queue = front.Queues[0];
        guest.TakeEvents(queue.Transmit.Port);
        queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 100));
        queue.Transmit.Push();
        Assert.Equal(1, guest.TakeEvents(queue.Transmit.Port));
        Assert.Equal(0, guest.TakeEvents(queue.Receive.Port));
        _nic.Receive(Frames.Plain(Frames.Mac(1), Frames.Mac(77), 100), end: false);
        _nic.Receive(Frames.Plain(Frames.Mac(1), Frames.Mac(77), 100));
        Assert.Equal(1, guest.TakeEvents(queue.Receive.Port));
        Assert.Equal(2, queue.Take().Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Checksums_are_left_to_a_device_that_can(bool ipv6)
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        byte[] packet = Frames.Tcp(Frames.Mac(77), Frames.Mac(1), 1000, ipv6, partial: true);
        queue.Put(packet, NetifTransmitFlags.ChecksumBlank | NetifTransmitFlags.DataValidated);
        queue.Transmit.Push();
        _nic.Finish();
        SentPacket sent = Assert.Single(_nic.Sent);
        Assert.Equal(packet, sent.Bytes);
        Assert.True(sent.Offload.NeedsChecksum);
        Assert.True(Frames.IsSound(Frames.Complete(sent.Bytes, sent.Offload.ChecksumStart, sent.Offload.ChecksumOffset)));
    }

    [Theory]
    [InlineData(false, 1000)]
    [InlineData(true, 1000)]
    [InlineData(false, 333)]
    [InlineData(true, 0)]
    public void Checksums_are_filled_in_for_a_device_that_cannot(bool ipv6, int payload)
    {
        _nic.Settings.TransmitChecksum = false;
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        queue.Put(Frames.Tcp(Frames.Mac(77), Frames.Mac(1), payload, ipv6, partial: true), NetifTransmitFlags.ChecksumBlank, piece: 133);
        queue.Transmit.Push();
        _nic.Finish();
        SentPacket sent = Assert.Single(_nic.Sent);
        Assert.False(sent.Offload.NeedsChecksum);
        Assert.True(Frames.IsSound(sent.Bytes));
        Assert.Equal(Frames.Tcp(Frames.Mac(77), Frames.Mac(1), payload, ipv6), sent.Bytes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Large_packets_are_left_to_a_device_that_can(bool ipv6)
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        byte[] packet = Frames.Tcp(Frames.Mac(77), Frames.Mac(1), 60000, ipv6, partial: true, flags: 0x98);
        queue.Put(packet, NetifTransmitFlags.ChecksumBlank, Large(1400, ipv6));
        queue.Transmit.Push();
        _nic.Finish();
        SentPacket sent = Assert.Single(_nic.Sent);
        Assert.Equal(packet, sent.Bytes);
        Assert.Equal(ipv6 ? SegmentationType.TcpIpv6 : SegmentationType.TcpIpv4, sent.Offload.Segmentation);
        Assert.Equal(1400, sent.Offload.SegmentSize);
        Assert.Equal(ipv6 ? 86 : 66, sent.Offload.HeaderLength);
        Assert.True(sent.Offload.HasEcn);
        Assert.Equal(new short[15], queue.TakeAnswers());
    }

    [Theory]
    [InlineData(false, true, 60000, 1400)]
    [InlineData(true, true, 60000, 1400)]
    [InlineData(false, false, 10000, 999)]
    [InlineData(true, false, 2801, 1400)]
    public void Large_packets_are_cut_for_a_device_that_cannot(bool ipv6, bool checksums, int payload, int size)
    {
        _nic.Settings.TransmitChecksum = checksums;
        _nic.Settings.TransmitTcpIpv4 = false;
        _nic.Settings.TransmitTcpIpv6 = false;
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        byte[] packet = Frames.Tcp(Frames.Mac(77), Frames.Mac(1), payload, ipv6, partial: true, flags: 0x99, vlan: true);
        queue.Put(packet, NetifTransmitFlags.ChecksumBlank, Large(size, ipv6));
        queue.Transmit.Push();
        _nic.Finish();
        List<byte[]> expected = Frames.Segment(packet, size);
        List<byte[]> actual = _nic.Sent
            .Select(sent => sent.Offload.NeedsChecksum ? Frames.Complete(sent.Bytes, sent.Offload.ChecksumStart, sent.Offload.ChecksumOffset) : sent.Bytes)
            .ToList();
        Assert.Equal(expected, actual);
        Assert.All(actual, segment => Assert.True(Frames.IsSound(segment)));
        queue.TakeAnswers();
        Assert.Equal(0, queue.Sending);
    }

    [Fact]
    public void A_large_packet_without_blank_checksum_is_repaired()
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        byte[] packet = Frames.Tcp(Frames.Mac(77), Frames.Mac(1), 6000);
        queue.Put(packet, 0, Large(1400));
        queue.Transmit.Push();
        _nic.Finish();
        Assert.Equal(Frames.Tcp(Frames.Mac(77), Frames.Mac(1), 6000, partial: true), Assert.Single(_nic.Sent).Bytes);
    }

    [Fact]
    public void Between_guests_a_partial_checksum_stays_partial()
    {
        FakeNetfront.Queue sender = Connect(1);
        FakeNetfront.Queue receiver = Connect(2);
        byte[] packet = Frames.Tcp(Frames.Mac(2), Frames.Mac(1), 50000, partial: true);
        sender.Put(packet, NetifTransmitFlags.ChecksumBlank, Large(1448));
        sender.Transmit.Push();
        ReceivedPacket got = Assert.Single(receiver.Take());
        Assert.Equal(packet, got.Bytes);
        Assert.Equal(NetifReceiveFlags.ChecksumBlank | NetifReceiveFlags.DataValidated, got.Flags);
        Assert.Equal(1448, got.Large!.Value.GsoSize);
        Assert.Equal(Netif.GsoTcpIpv4, got.Large!.Value.GsoType);
        sender.TakeAnswers();
        Assert.Equal(0, sender.Sending);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_plain_frontend_gets_whole_checksums_and_small_packets(bool ipv6)
    {
        FakeNetfront.Queue sender = Connect(1);
        FakeNetfront.Queue receiver = Connect(2, features: false);
        byte[] packet = Frames.Tcp(Frames.Mac(2), Frames.Mac(1), 50000, ipv6, partial: true);
        sender.Put(packet, NetifTransmitFlags.ChecksumBlank, Large(1448, ipv6));
        sender.Put(Frames.Tcp(Frames.Mac(2), Frames.Mac(1), 500, ipv6, partial: true), NetifTransmitFlags.ChecksumBlank);
        sender.Put(Frames.Tcp(Frames.Mac(2), Frames.Mac(1), 5000, ipv6));
        sender.Transmit.Push();
        List<ReceivedPacket> got = receiver.Take();
        List<byte[]> expected = Frames.Segment(packet, 1448);
        expected.Add(Frames.Tcp(Frames.Mac(2), Frames.Mac(1), 500, ipv6));
        Assert.Equal(expected, got.Select(received => received.Bytes));
        Assert.All(got, received => Assert.Equal(NetifReceiveFlags.DataValidated, received.Flags));
    }

    [Theory]
    [InlineData(4096u, 0u)]
    [InlineData(2048u, 12u)]
    [InlineData(1536u, 10u)]
    [InlineData(65562u, 12u)]
    public void Packets_from_outside_are_copied_to_the_guest(uint bufferSize, uint offset)
    {
        FakeNic nic = new(bufferSize: bufferSize);
        AddNic(nic);
        FakeNetfront.Queue queue = Connect(1);
        int buffers = nic.BufferCount();
        byte[] small = Frames.Plain(Frames.Mac(1), Frames.Mac(77), 60);
        byte[] large = Frames.Tcp(Frames.Mac(1), Frames.Mac(77), 40000, partial: true);
        PacketOffload offload = new()
        {
            NeedsChecksum = true,
            ChecksumStart = 34,
            ChecksumOffset = 16,
            Segmentation = SegmentationType.TcpIpv4,
            SegmentSize = 1448,
            HeaderLength = 66,
        };
        Assert.True(nic.Receive(small, firstOffset: offset));
        Assert.True(nic.Receive(large, offload, offset));
        Assert.True(nic.Receive(small, new PacketOffload { ChecksumIsValid = true }, offset));
        List<ReceivedPacket> got = queue.Take();
        Assert.Equal([small, large, small], got.Select(packet => packet.Bytes));
        Assert.Equal([NetifReceiveFlags.None, NetifReceiveFlags.ChecksumBlank | NetifReceiveFlags.DataValidated, NetifReceiveFlags.DataValidated], got.Select(packet => packet.Flags));
        Assert.Equal(1448, got[1].Large!.Value.GsoSize);
        Assert.Equal(buffers, nic.BufferCount());
    }

    [Fact]
    public void Packets_wait_for_receive_buffers_for_a_while()
    {
        FakeNetfront.Queue sender = Connect(1);
        FakeNetfront.Queue receiver = Connect(2, buffers: 1);
        for (int i = 0; i < 6; i++)
        {
            sender.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 1000 + i));
        }

        sender.Transmit.Push();
        Assert.Equal([1000], receiver.Take().Select(packet => packet.Bytes.Length));
        receiver.Offer(2);
        Assert.Equal([1001, 1002], receiver.Take().Select(packet => packet.Bytes.Length));
        sender.TakeAnswers();
        Assert.Equal(3, sender.Sending);
        _machine.Settle();
        Assert.Equal(_machine.Now + NetLimits.ReceivePatience, _machine.WakeTime);
        _machine.Now += NetLimits.ReceivePatience;
        _machine.Bus.Process();
        sender.TakeAnswers();
        Assert.Equal(0, sender.Sending);
        receiver.Offer(3);
        Assert.Empty(receiver.Take());
        sender.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 999));
        sender.Transmit.Push();
        Assert.Equal([999], receiver.Take().Select(packet => packet.Bytes.Length));
    }

    [Fact]
    public void The_backlog_is_bounded_and_broadcasts_do_not_wait()
    {
        TestGuest second = AddGuest(2, out VifDevice vif);
        FakeNetfront front = new(second, 0);
        front.Connect(buffers: 0);
        FakeNetfront.Queue sender = Connect(1);
        FakeNetfront.Queue third = Connect(3);
        for (int i = 0; i < 200; i++)
        {
            sender.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 1000));
        }

        sender.Transmit.Push();
        _machine.Settle();
        sender.TakeAnswers();
        Assert.Equal(NetLimits.ReceiveBacklog, sender.Sending);
        Assert.Equal(200ul - NetLimits.ReceiveBacklog, vif.Statistics.DroppedOut);
        _machine.Now += NetLimits.ReceivePatience;
        _machine.Bus.Process();
        sender.TakeAnswers();
        sender.Put(Frames.Plain(Frames.Broadcast, Frames.Mac(1), 1000));
        sender.Transmit.Push();
        sender.TakeAnswers();
        Assert.Equal(0, sender.Sending);
        Assert.Single(third.Take());
    }

    [Fact]
    public void A_full_ring_lets_others_have_the_processor()
    {
        FakeNetfront.Queue sender = Connect(1);
        FakeNetfront.Queue receiver = Connect(2);
        const int packets = 100;
        for (int i = 0; i < packets; i++)
        {
            sender.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 100 + i));
        }

        _machine.MustGiveWay = true;
        _machine.Now = 7_000_000;
        sender.Transmit.Push();
        ulong due = _machine.Bus.TurnDue;
        Assert.InRange(due, _machine.Now + 1, _machine.Now + 1_000_000);
        int first = receiver.Take().Count();
        Assert.InRange(first, 1, packets / 2);

        // Another event does not start it anew: it waits for its turn, and goes on where it was; nor does it wait longer for that.
        _machine.Now++;
        sender.Transmit.Push();
        Assert.Equal(due, _machine.Bus.TurnDue);
        _machine.MustGiveWay = false;
        _machine.Settle();
        Assert.Equal(BackendBus.Never, _machine.Bus.TurnDue);
        Assert.Equal(Enumerable.Range(100 + first, packets - first), receiver.Take().Select(packet => packet.Bytes.Length));
    }

    [Fact]
    public void A_guest_that_does_not_receive_cannot_starve_the_interface()
    {
        AddNic();
        TestGuest second = AddGuest(2, out _);
        FakeNetfront front = new(second, 0);
        front.Connect(buffers: 0);
        FakeNetfront.Queue other = Connect(1);
        for (int i = 0; i < 500; i++)
        {
            Assert.True(_nic.Receive(Frames.Plain(Frames.Mac(2), Frames.Mac(77), 1000)));
            Assert.True(_nic.BufferCount() > 32);
        }

        Assert.True(_nic.Receive(Frames.Plain(Frames.Mac(1), Frames.Mac(77), 1000)));
        Assert.Single(other.Take());
    }

    [Fact]
    public void Packets_wait_for_a_full_interface()
    {
        AddNic();
        _nic.Room = 2;
        FakeNetfront.Queue queue = Connect(1);
        for (int i = 0; i < 200; i++)
        {
            queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 300 + i));
        }

        queue.Transmit.Push();
        Assert.Equal(2, _nic.PendingCount);
        while (_nic.PendingCount > 0)
        {
            _nic.Finish();
        }

        Assert.Equal(Enumerable.Range(300, 2 + NicLimits.Waiting), _nic.Sent.Select(sent => sent.Bytes.Length));
        queue.TakeAnswers();
        Assert.Equal(0, queue.Sending);
    }

    [Fact]
    public void A_full_interface_is_shared()
    {
        AddNic();
        _nic.Room = 2;
        FakeNetfront.Queue greedy = Connect(1);
        FakeNetfront.Queue modest = Connect(2);
        for (int i = 0; i < 200; i++)
        {
            greedy.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 1000));
        }

        greedy.Transmit.Push();
        for (int i = 0; i < 10; i++)
        {
            modest.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(2), 100 + i));
        }

        modest.Transmit.Push();
        while (_nic.PendingCount > 0)
        {
            _nic.Finish();
        }

        int[] sent = [.. _nic.Sent.Select(packet => packet.Bytes.Length)];
        Assert.Equal(Enumerable.Range(100, 10), sent.Where(length => length != 1000));
        Assert.InRange(System.Array.IndexOf(sent, 109), 10, 10 + 2 + FairQueue.Turn / 1000);
    }

    [Fact]
    public void The_rate_is_kept()
    {
        AddNic();
        TestGuest guest = AddGuest(1, out _, rate: 150_000, interval: 50_000);
        FakeNetfront front = new(guest, 0);
        front.Connect();
        FakeNetfront.Queue queue = front.Queues[0];
        ulong start = _machine.Now;
        for (int wakes = 0; wakes < 200; wakes++)
        {
            while (queue.Transmit.Free > 0)
            {
                queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 1500));
            }

            queue.Transmit.Push();
            _machine.Settle();
            _nic.Finish();
            queue.TakeAnswers();
            ulong total = (ulong)_nic.Sent.Sum(sent => sent.Bytes.Length);
            ulong earned = (_machine.Now - start) * 3 / 1_000;
            Assert.InRange(total, earned, earned + 150_000 + 1_500);

            // An eighth of the interval is between two wakes, so that each lets several packets through.
            Assert.InRange(_machine.WakeTime - _machine.Now, 6_000_000ul, 7_000_000ul);
            _machine.Now = _machine.WakeTime;
            _machine.Bus.Process();
            _nic.Finish();
        }
    }

    [Fact]
    public void A_limited_vif_wakes_nobody_once_it_is_closed()
    {
        AddNic();
        TestGuest guest = AddGuest(1, out VifDevice vif, rate: 1_000, interval: 50_000);
        FakeNetfront front = new(guest, 0);
        front.Connect();
        FakeNetfront.Queue queue = front.Queues[0];
        while (queue.Transmit.Free > 0)
        {
            queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 1500));
        }

        queue.Transmit.Push();
        _machine.Settle();
        Assert.NotEqual(BackendBus.Never, vif.WakeTime);
        front.SetState(6);
        _nic.Finish();
        _machine.Settle();
        Assert.Equal(BackendBus.Never, vif.WakeTime);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Several_queues_keep_connections_together(bool split)
    {
        AddNic(new FakeNic(queues: 2));
        TestGuest guest = AddGuest(1, out _, vcpus: 3);
        FakeNetfront front = new(guest, 0);
        Assert.Equal("3", front.BackendNode("multi-queue-max-queues"));
        front.Connect(queues: 3, split: split);
        FakeNetfront.Queue other = Connect(2);
        HashSet<int> used = new();
        for (int flow = 0; flow < 30; flow++)
        {
            byte[] packet = Frames.Tcp(Frames.Mac(1), Frames.Mac(2), 400);
            packet[34] = (byte)flow;
            for (int i = 0; i < 3; i++)
            {
                other.Put(packet);
            }

            other.Transmit.Push();
            other.TakeAnswers();
            List<int> hits = Enumerable.Range(0, 3).Where(i => front.Queues[i].Take().Count == 3).ToList();
            used.Add(Assert.Single(hits));
        }

        Assert.Equal(3, used.Count);
        foreach (FakeNetfront.Queue queue in front.Queues)
        {
            queue.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 400));
            queue.Transmit.Push();
        }

        Assert.Equal(3, other.Take().Count);
    }

    [Fact]
    public void Bad_packets_get_errors_and_the_ring_goes_on()
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        byte[] good = Frames.Plain(Frames.Mac(77), Frames.Mac(1), 300);
        TestGuest guest = _machine.LastGuest!;
        ulong frame = guest.NewFrame();
        queue.PutSlot(9999, 0, 0, 0, 300);
        queue.PutSlot(guest.Grant(frame), 0, 4000, 0, 300);
        queue.PutSlot(guest.Grant(frame), 0, 0, 0, 13);
        queue.PutSlot(guest.Grant(frame), 0, 0, 0, 0);
        queue.PutSlot(guest.Grant(frame), 0, 0, NetifTransmitFlags.MoreData, 300);
        queue.PutSlot(guest.Grant(frame), 0, 0, 0, 301);
        queue.PutSlot(guest.Grant(frame), 0, 0, NetifTransmitFlags.ExtraInfo, 300);
        queue.PutExtra(new NetifExtraInfo { Type = 9 });
        for (int i = 0; i < 19; i++)
        {
            queue.PutSlot(guest.Grant(frame), 0, 0, i < 18 ? NetifTransmitFlags.MoreData : 0, (ushort)(i == 0 ? 1900 : 100));
        }

        queue.Put(good);
        queue.Transmit.Push();
        List<short> statuses = queue.TakeAnswers();
        Assert.Equal(26, statuses.Count);
        Assert.All(statuses, status => Assert.Equal(Netif.Error, status));
        _nic.Finish();
        Assert.Equal(good, Assert.Single(_nic.Sent).Bytes);
        Assert.Equal([Netif.Okay], queue.TakeAnswers());
        Assert.Equal(2, guest.PinCount);
    }

    [Fact]
    public void Packets_that_make_no_sense_are_lost()
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 300), NetifTransmitFlags.ChecksumBlank);
        queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 300), 0, Large(100));
        queue.Put(Frames.Tcp(Frames.Mac(77), Frames.Mac(1), 3000, partial: true), NetifTransmitFlags.ChecksumBlank, Large(0));
        queue.Put(Frames.Tcp(Frames.Mac(77), Frames.Mac(1), 3000, partial: true), NetifTransmitFlags.ChecksumBlank, Large(1000, true));
        queue.Put(Frames.Plain(Frames.Mac(77), [1, 0, 0, 0, 0, 1], 300));
        queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 1600));
        queue.Put(Frames.Plain([1, 0x80, 0xc2, 0, 0, 1], Frames.Mac(1), 100));
        queue.Transmit.Push();
        _nic.Finish();
        Assert.Empty(_nic.Sent);
        Assert.All(queue.TakeAnswers(), status => Assert.Equal(0, status));
        Assert.Equal(0, queue.Sending);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Broken_rings_close_the_device(int how)
    {
        AddNic();
        TestGuest guest = AddGuest(1, out _);
        FakeNetfront front = new(guest, 0);
        front.Connect();
        FakeNetfront.Queue queue = front.Queues[0];
        uint page = guest.Grant(guest.NewFrame());
        switch (how)
        {
            case 0:
                queue.Transmit.PushHostile(257);
                break;
            case 1:
                queue.Receive.WriteIndex(SharedRingLayout.RequestProducer, 5000);
                _nic.Receive(Frames.Plain(Frames.Mac(1), Frames.Mac(77), 100));
                break;
            case 2:
                queue.PutSlot(page, 0, 0, NetifTransmitFlags.MoreData, 300);
                queue.Transmit.Push();
                break;
            default:
                for (int i = 0; i < 30; i++)
                {
                    queue.PutSlot(page, 0, 0, NetifTransmitFlags.MoreData, 300);
                }

                queue.Transmit.Push();
                break;
        }

        _machine.Settle();
        Assert.Equal(5, front.BackendState);
        Assert.Equal(0, guest.PinCount);
        Assert.Equal(0, guest.BoundPorts);
        front.SetState(5);
        front.SetState(6);
        front.SetState(1);
        Assert.Equal(2, front.BackendState);
        front.Connect();
        front.Queues[0].Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 100));
        front.Queues[0].Transmit.Push();
        _nic.Finish();
        Assert.Single(_nic.Sent);
    }

    [Fact]
    public void A_page_that_cannot_be_written_costs_the_guest_the_packet()
    {
        AddNic();
        TestGuest guest = AddGuest(1, out _);
        FakeNetfront front = new(guest, 0);
        front.Connect(buffers: 0);
        FakeNetfront.Queue queue = front.Queues[0];
        queue.OfferGrant(guest.Grant(guest.NewFrame(), readOnly: true), 0);
        queue.OfferGrant(7777, 0);
        queue.Offer(1);
        for (int i = 0; i < 3; i++)
        {
            _nic.Receive(Frames.Plain(Frames.Mac(1), Frames.Mac(77), 100));
        }

        Assert.Equal([true, true, false], queue.Take().Select(packet => packet.HasError));
    }

    [Fact]
    public void Destroying_waits_for_the_packets_that_are_on_their_way()
    {
        AddNic();
        TestGuest guest = AddGuest(1, out VifDevice vif);
        FakeNetfront front = new(guest, 0);
        front.Connect();
        front.Queues[0].Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 1000));
        front.Queues[0].Transmit.Push();
        vif.Destroy();
        _machine.Settle();
        Assert.Empty(_machine.Owner.Gone);
        Assert.NotEqual(0, guest.PinCount);
        _nic.Finish();
        _machine.Settle();
        Assert.Equal([vif], _machine.Owner.Gone);
        Assert.Equal(0, guest.PinCount);
        Assert.Equal(0, guest.BoundPorts);
        Assert.Null(_machine.Read("/local/domain/1/device/vif/0"));
        _machine.ForgetGuest(guest);

        // Address and port are free again.
        TestGuest next = _machine.CreateGuest(2);
        AddVif(next, 1);
    }

    [Fact]
    public void Packets_for_a_guest_that_goes_are_let_go()
    {
        FakeNetfront.Queue sender = Connect(1);
        TestGuest guest = AddGuest(2, out VifDevice vif);
        FakeNetfront front = new(guest, 0);
        front.Connect(buffers: 0);
        sender.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 1000));
        sender.Transmit.Push();
        Assert.Empty(sender.TakeAnswers());
        vif.Destroy();
        _machine.Settle();
        Assert.Equal([vif], _machine.Owner.Gone);
        Assert.Equal([Netif.Okay], sender.TakeAnswers());
    }

    [Fact]
    public void An_address_belongs_to_one_port()
    {
        AddGuest(1, out _);
        TestGuest other = _machine.CreateGuest(2);
        VifSettings settings = new();
        Frames.Mac(1).CopyTo(settings.Address);
        Assert.Equal(-Errno.EEXIST, VifDevice.Create(_machine.Bus, _machine.Owner, other.Domain, _switch, settings, out _));
        AddNic();
        VifDevice vif = AddVif(other, 2);
        FakeNetfront front = new(other, 0);
        front.Connect();
        front.Queues[0].Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 100));
        front.Queues[0].Transmit.Push();
        Assert.Equal(0, _nic.PendingCount);
        Assert.Equal(1ul, vif.Statistics.RejectedIn);
    }

    [Fact]
    public void A_filter_decides_what_a_guest_may_send()
    {
        AddNic();
        TestGuest guest = _machine.CreateGuest(1);
        VifSettings settings = new() { Filter = new OnlyShort() };
        Frames.Mac(1).CopyTo(settings.Address);
        Assert.Equal(0, VifDevice.Create(_machine.Bus, _machine.Owner, guest.Domain, _switch, settings, out _));
        _machine.Settle();
        FakeNetfront front = new(guest, 0);
        front.Connect();
        front.Queues[0].Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 100));
        front.Queues[0].Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 200));
        front.Queues[0].Transmit.Push();
        _nic.Finish();
        Assert.Equal(100, Assert.Single(_nic.Sent).Bytes.Length);
    }

    [Theory]
    [InlineData("request-rx-copy", "0")]
    [InlineData("tx-ring-ref", "9999")]
    [InlineData("rx-ring-ref", "9999")]
    [InlineData("event-channel-tx", "99")]
    [InlineData("event-channel-rx", "99")]
    [InlineData("multi-queue-num-queues", "0")]
    [InlineData("multi-queue-num-queues", "2")]
    public void Wrong_nodes_are_refused_and_nothing_is_held(string node, string value)
    {
        TestGuest guest = AddGuest(1, out _);
        FakeNetfront front = new(guest, 0);
        front.Prepare();
        front.Write(node, value);
        front.SetState(4);
        Assert.Equal(5, front.BackendState);
        Assert.Equal(0, guest.PinCount);
        Assert.Equal(0, guest.BoundPorts);
    }

    [Fact]
    public void A_lying_interface_is_survived()
    {
        AddNic();
        FakeNetfront.Queue queue = Connect(1);
        NetworkClient client = _nic.Client!;
        client.Sent(0, 5);
        client.Sent(9, 5);
        client.Received(0, [1000000], 0, 100, default);
        client.Received(0, [], 0, 100, default);
        client.Received(-1, [0], 0, 100, default);
        uint tag = _nic.NextBuffer();
        client.Received(0, [tag, tag], 0, 100, default);
        client.Received(0, [tag], 5000, 100, default);
        client.Received(0, [_nic.NextBuffer(1)], 0, 5000, default);
        client.Received(0, [_nic.NextBuffer(2)], 0, 100, new PacketOffload { Segmentation = SegmentationType.TcpIpv4 });
        client.Received(0, [_nic.NextBuffer(3)], 0, 13, default);
        client.Received(0, [_nic.NextBuffer(4)], 0, 1000, new PacketOffload { NeedsChecksum = true, ChecksumStart = 900, ChecksumOffset = 16 });
        client.InterruptEnd(0);
        queue.Take();
        _nic.Forget(5);
        client.InterruptEnd(0);
        client.ReceiveBufferReturned(0, uint.MaxValue);
        int before = _nic.BufferCount();
        _nic.ReturnBuffer();
        client.InterruptEnd(0);
        Assert.Equal(before, _nic.BufferCount());
        Assert.True(_nic.Receive(Frames.Plain(Frames.Mac(1), Frames.Mac(77), 14)));
        Assert.Single(queue.Take());
    }

    private sealed class OnlyShort : PacketFilter
    {
        public override bool Allows(ReadOnlySpan<byte> header) => header.Length <= 100;
    }
}
