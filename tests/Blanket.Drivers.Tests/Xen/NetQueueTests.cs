using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Drivers.Xen;
using Blanket.Drivers.Xen.Net;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests.Xen;

public sealed class NetQueueTests
{
    private const NetifTransmitFlags Blank = NetifTransmitFlags.ChecksumBlank | NetifTransmitFlags.DataValidated;

    [Fact]
    public void A_packet_is_sent_as_slots()
    {
        Bed bed = new();
        byte[] packet = Bytes(5000);
        Assert.True(bed.Send(packet, [66, 4000, 934], 7));
        NetbackPacket sent = bed.Backend.Take()!;
        Assert.Equal(packet, sent.Bytes);
        Assert.Equal([NetifTransmitFlags.MoreData, NetifTransmitFlags.MoreData, 0], sent.Slots.Select(s => s.Flags));
        Assert.Equal(5000, sent.Slots[0].Size);
        Assert.Empty(bed.Sent());
        bed.Backend.Answer(sent);
        Assert.Equal([7u], bed.Sent());
        Assert.Equal(bed.IdleGrants, bed.Grants.Granted);
    }

    /// <summary>A sender that may have two packets under way would stand still otherwise.</summary>
    [Fact]
    public void The_first_of_several_packets_that_leaves_is_told()
    {
        Bed bed = new();
        for (uint i = 0; i < 3; i++)
        {
            Assert.True(bed.Send(Bytes(100), [100], i));
        }

        NetbackPacket[] sent = [bed.Backend.Take()!, bed.Backend.Take()!, bed.Backend.Take()!];
        Assert.True(bed.Transmit.TryRequestEvent());
        Assert.True(bed.Backend.Answer(sent[0]));
        Assert.False(bed.Backend.Answer(sent[1]));
        Assert.False(bed.Transmit.TryRequestEvent());
        Assert.Equal([0u, 1u], bed.Sent());
        Assert.True(bed.Transmit.TryRequestEvent());
        Assert.True(bed.Backend.Answer(sent[2]));
    }

    [Fact]
    public void A_large_packet_has_extra_information_behind_its_first_slot()
    {
        Bed bed = new();
        byte[] packet = Bytes(9000);
        NetifExtraInfo large = new() { Type = Netif.ExtraGso, GsoType = Netif.GsoTcpIpv4, GsoSize = 1448 };
        Assert.True(bed.Send(packet, [66, 4000, 4000, 934], 1, Blank, large));
        Assert.True(bed.Send(packet, [66, 4000, 4000, 934], 2, Blank));
        NetbackPacket sent = bed.Backend.Take()!;
        NetbackPacket next = bed.Backend.Take()!;
        Assert.Equal(packet, sent.Bytes);
        Assert.Equal(Blank | NetifTransmitFlags.ExtraInfo | NetifTransmitFlags.MoreData, sent.Flags);
        Assert.Equal((1, (ushort)1448, 1), ((int)sent.Extras[0].Type, sent.Extras[0].GsoSize, (int)sent.Extras[0].GsoType));
        Assert.Equal(packet, next.Bytes);
        bed.Backend.Answer(sent);
        bed.Backend.Answer(next, Netif.Error);
        Assert.Equal([1u, 2u], bed.Sent());
        Assert.False(bed.Health.IsBroken);
    }

    [Fact]
    public void A_packet_of_one_slot_too_many_is_copied_together_at_its_beginning()
    {
        Bed bed = new();
        int[] parts = [256, 3000, .. Enumerable.Repeat(3600, 17)];
        byte[] packet = Bytes(parts.Sum());
        for (uint i = 0; i < 8; i++)
        {
            Assert.True(bed.Send(packet, parts, i));
        }

        Assert.False(bed.Send(packet, parts, 9));
        for (uint i = 0; i < 8; i++)
        {
            NetbackPacket sent = bed.Backend.Take()!;
            Assert.Equal(18, sent.Slots.Length);
            Assert.Equal(packet, sent.Bytes);
            bed.Backend.Answer(sent);
        }

        Assert.Equal(8, bed.Sent().Count);
        Assert.True(bed.Transmit.TakeRoomAvailable());
        Assert.True(bed.Send(packet, parts, 9));
    }

    [Fact]
    public void What_cannot_be_put_into_the_slots_of_every_backend_does_not_fit()
    {
        _ = new FakeMachine();
        DmaSegment full = new(FakeMachine.NewPage(), 4096);
        DmaSegment small = new(full.Address, 100);
        DmaSegment crossing = new(full.Address + 4000, 200);
        Assert.True(NetTransmitQueue.Fits([.. Enumerable.Repeat(full, 18)], 0, true));
        Assert.False(NetTransmitQueue.Fits([.. Enumerable.Repeat(full, 19)], 0, true));
        Assert.True(NetTransmitQueue.Fits([small, small, .. Enumerable.Repeat(full, 17)], 0, true));
        Assert.False(NetTransmitQueue.Fits([small, small, .. Enumerable.Repeat(full, 18)], 0, true));
        Assert.False(NetTransmitQueue.Fits([small, full, .. Enumerable.Repeat(full, 17)], 0, true));
        Assert.False(NetTransmitQueue.Fits([crossing, .. Enumerable.Repeat(full, 17)], 0, true));
    }

    [Fact]
    public void Segments_that_cross_pages_take_a_slot_of_each()
    {
        Bed bed = new();
        Assert.True(FrameAllocator.TryAllocate(1, ulong.MaxValue, out ulong frame));
        ulong address = (frame << 12) + 4000;
        new Random(2).NextBytes(PhysicalMemory.Bytes(address, 1000));
        Assert.True(bed.Transmit.TrySend(0, default, [new DmaSegment(address, 1000)], 1000, 1));
        bed.Transmit.Publish(out _);
        NetbackPacket sent = bed.Backend.Take()!;
        Assert.Equal(2, sent.Slots.Length);
        Assert.Equal(PhysicalMemory.Bytes(address, 1000).ToArray(), sent.Bytes);
    }

    [Theory]
    [InlineData(255, 0)] // not in flight
    [InlineData(256, 0)]
    [InlineData(65535, 0)]
    [InlineData(0, 1)] // no extra information was sent
    public void Wrong_transmit_responses_break_the_device(int id, short status)
    {
        Bed bed = new();
        Assert.True(bed.Send(Bytes(100), [100], 1));
        ushort used = bed.Backend.Take()!.Slots[0].Id;
        bed.Backend.AnswerRaw(id == 255 ? (ushort)(used ^ 1) : (ushort)id, status);
        Assert.Empty(bed.Sent());
        Assert.True(bed.Health.IsBroken);
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(uint.MaxValue)]
    public void Transmit_responses_that_were_not_asked_for_break_the_device(uint count)
    {
        Bed bed = new();
        Assert.True(bed.Send(Bytes(100), [100], 1));
        bed.Backend.ExposeSent(count);
        Assert.Empty(bed.Sent());
        Assert.True(bed.Health.IsBroken);
    }

    [Fact]
    public void A_page_that_the_backend_keeps_is_not_reported_as_sent()
    {
        Bed bed = new();
        Assert.True(bed.Send(Bytes(100), [100], 1));
        NetbackPacket sent = bed.Backend.Take()!;
        bed.Backend.AnswerRaw(sent.Slots[0].Id, 0);
        Assert.Empty(bed.Sent());
        Assert.True(bed.Health.IsBroken);
        bed.Transmit.GiveUp();
        Assert.Empty(bed.Sent());
        Assert.False(bed.Transmit.TryPrepare(FakeNetback.Domain));
        bed.Backend.Drop(sent.Slots[0].Reference);
        bed.Backend.Close();
        bed.Transmit.GiveUp();
        Assert.Equal([1u], bed.Sent());
        Assert.True(bed.Transmit.TryPrepare(FakeNetback.Domain));
    }

    [Fact]
    public void Packets_on_their_way_are_dropped_when_the_connection_ends()
    {
        Bed bed = new();
        NetifExtraInfo large = new() { Type = Netif.ExtraGso, GsoType = Netif.GsoTcpIpv4, GsoSize = 1448 };
        Assert.True(bed.Send(Bytes(5000), [1000, 4000], 1, Blank, large));
        Assert.True(bed.Send(Bytes(100), [100], 2));
        bed.Transmit.GiveUp();
        Assert.False(bed.Send(Bytes(100), [100], 3));
        Assert.Equal([1u, 2u], bed.Sent().Order());
        Assert.True(bed.Transmit.TakeRefused());
        bed.Backend.Close();
        bed.Connect();
        Assert.True(bed.Send(Bytes(100), [100], 4));
        bed.Backend.Answer(bed.Backend.Take()!);
        Assert.Equal([4u], bed.Sent());
        Assert.False(bed.Health.IsBroken);
    }

    [Fact]
    public void Packets_are_received()
    {
        Bed bed = new();
        foreach (int length in new[] { 14, 60, 1514, 4096, 4097, 9000, 65535 })
        {
            byte[] packet = Bytes(length, length);
            Assert.True(bed.Backend.Inject(packet));
            Assert.Equal(packet, Assert.Single(bed.Received()).Packet);
        }

        Assert.Equal(256, bed.Outstanding);
        Assert.False(bed.Health.IsBroken);
    }

    [Theory]
    [InlineData(0, 4096)]
    [InlineData(256, 4096)] // room in front of each piece
    [InlineData(0, 4000)] // pages that are not filled up
    [InlineData(2, 1500)]
    [InlineData(0, 3000)]
    public void Pieces_that_do_not_fill_their_pages_are_moved_together(int headroom, int fill)
    {
        Bed bed = new();
        for (int length = 60; length <= 20 * (fill - headroom); length += 997)
        {
            byte[] packet = Bytes(length, length);
            Assert.True(bed.Backend.Inject(packet, headroom: headroom, fill: fill));
            Assert.Equal(packet, Assert.Single(bed.Received()).Packet);
            Assert.Equal(256, bed.Outstanding);
        }
    }

    [Fact]
    public void Offload_is_told_by_headers()
    {
        Bed bed = new();
        NetifExtraInfo large = new() { Type = Netif.ExtraGso, GsoType = Netif.GsoTcpIpv4, GsoSize = 1448 };
        NetifExtraInfo hash = new() { Type = 4 };
        byte[] packet = TcpPacket(9000);
        Assert.True(bed.Backend.Inject(packet, NetifReceiveFlags.ChecksumBlank | NetifReceiveFlags.DataValidated, [large]));
        Assert.True(bed.Backend.Inject(packet, NetifReceiveFlags.ChecksumBlank | NetifReceiveFlags.DataValidated, [hash, large]));
        Assert.True(bed.Backend.Inject(TcpPacket(600), NetifReceiveFlags.ChecksumBlank));
        Assert.True(bed.Backend.Inject(TcpPacket(600), NetifReceiveFlags.DataValidated));
        List<(byte[] Packet, PacketOffload Offload)> received = bed.Received();
        Assert.Equal(4, received.Count);
        foreach ((byte[] bytes, PacketOffload offload) in received.Take(2))
        {
            Assert.Equal(packet, bytes);
            Assert.True(offload.NeedsChecksum);
            Assert.Equal((SegmentationType.TcpIpv4, 1448, 54, 34, 16),
                (offload.Segmentation, offload.SegmentSize, offload.HeaderLength, offload.ChecksumStart, offload.ChecksumOffset));
        }

        Assert.Equal((true, false, SegmentationType.None), (received[2].Offload.NeedsChecksum, received[2].Offload.ChecksumIsValid, received[2].Offload.Segmentation));
        Assert.Equal((false, true), (received[3].Offload.NeedsChecksum, received[3].Offload.ChecksumIsValid));
        // The pages of the extra slots went back into the ring by themselves.
        Assert.Equal(256, bed.Outstanding);
        Assert.Equal(0, bed.Returned);
    }

    [Fact]
    public void A_packet_that_is_not_complete_waits()
    {
        Bed bed = new();
        byte[] packet = Bytes(5000);
        bed.Backend.Place(packet.AsSpan(0, 4096), 0, NetifReceiveFlags.MoreData);
        bed.Backend.Expose();
        Assert.Empty(bed.Received());
        Assert.True(bed.Receive.TryRequestEvent());
        bed.Backend.Place(packet.AsSpan(4096), 0, 0);
        bed.Backend.Expose();
        Assert.False(bed.Receive.TryRequestEvent());
        Assert.Equal(packet, Assert.Single(bed.Received()).Packet);
    }

    [Theory]
    [InlineData(4000, 97)]
    [InlineData(65535, 1)]
    [InlineData(0, 4097)]
    [InlineData(0, 32767)]
    [InlineData(0, -1)]
    [InlineData(0, -32768)]
    [InlineData(0, 0)]
    [InlineData(0, 13)]
    public void Pieces_outside_their_page_lose_the_packet_alone(int offset, int status)
    {
        Bed bed = new();
        NetifReceiveRequest request = bed.Backend.TakeBuffer();
        bed.Backend.PlaceRaw(new NetifReceiveResponse { Id = request.Id, Offset = (ushort)offset, Status = (short)status });
        bed.Backend.Expose();
        Assert.Empty(bed.Received());
        Assert.Equal(1, bed.Returned);
        Assert.False(bed.Health.IsBroken);
        Assert.True(bed.Backend.Inject(Bytes(60)));
        Assert.Single(bed.Received());
        Assert.Equal(256, bed.Outstanding);
    }

    [Fact]
    public void Extra_information_that_makes_no_sense_loses_the_packet_alone()
    {
        Bed bed = new();
        Assert.True(bed.Backend.Inject(TcpPacket(600), NetifReceiveFlags.ChecksumBlank, [new NetifExtraInfo { Type = 9 }]));
        Assert.True(bed.Backend.Inject(TcpPacket(600), NetifReceiveFlags.ChecksumBlank, [new NetifExtraInfo { Type = 1, GsoType = 2, GsoSize = 100 }]));
        Assert.True(bed.Backend.Inject(TcpPacket(600), NetifReceiveFlags.ChecksumBlank, [new NetifExtraInfo { Type = 1, GsoType = 1, GsoSize = 0 }]));
        Assert.True(bed.Backend.Inject(Bytes(600), NetifReceiveFlags.ChecksumBlank));
        Assert.Empty(bed.Received());
        Assert.Equal(4, bed.Returned);
        Assert.False(bed.Health.IsBroken);
        Assert.Equal(256, bed.Outstanding);
    }

    [Fact]
    public void Chains_that_never_end_break_the_device()
    {
        Bed bed = new();
        for (int i = 0; i < 256; i++)
        {
            bed.Backend.Place(Bytes(100), 0, NetifReceiveFlags.MoreData);
        }

        bed.Backend.Expose();
        Assert.Empty(bed.Received());
        Assert.True(bed.Health.IsBroken);
        bed.Receive.GiveUp();
        Assert.Empty(bed.Received());
        Assert.Equal(256, bed.Returned);
    }

    [Fact]
    public void Extra_information_that_never_ends_breaks_the_device()
    {
        Bed bed = new();
        bed.Backend.Place(Bytes(100), 0, NetifReceiveFlags.ExtraInfo);
        for (int i = 0; i < 255; i++)
        {
            bed.Backend.PlaceExtra(new NetifExtraInfo { Type = 1, Flags = 1 });
        }

        bed.Backend.Expose();
        Assert.Empty(bed.Received());
        Assert.True(bed.Health.IsBroken);
        bed.Receive.GiveUp();
        bed.Received();
        Assert.Equal(256, bed.Returned);
    }

    [Fact]
    public void Responses_in_other_places_than_their_requests_break_the_device()
    {
        Bed bed = new();
        bed.Backend.TakeBuffer();
        bed.Backend.PlaceRaw(new NetifReceiveResponse { Id = 77, Status = 60 });
        bed.Backend.Expose();
        Assert.Empty(bed.Received());
        Assert.True(bed.Health.IsBroken);
    }

    [Fact]
    public void A_receive_page_that_is_still_used_is_not_given_back()
    {
        Bed bed = new();
        NetifReceiveRequest request = bed.Backend.TakeBuffer();
        bed.Backend.PlaceRaw(new NetifReceiveResponse { Id = request.Id, Status = 60 });
        bed.Backend.Hold(request.Reference);
        bed.Backend.Expose();
        Assert.Empty(bed.Received());
        Assert.True(bed.Health.IsBroken);
        bed.Received();
        Assert.Equal(255, bed.Returned);
        bed.Backend.Drop(request.Reference);
        bed.Receive.GiveUp();
        bed.Received();
        Assert.Equal(256, bed.Returned);
    }

    [Fact]
    public void Many_packets_both_ways()
    {
        Bed bed = new();
        Random random = new(4);
        Queue<NetbackPacket> taken = new();
        Queue<byte[]> sent = new();
        Queue<byte[]> injected = new();
        uint tag = 0;
        int reported = 0;
        for (int i = 0; i < 3000; i++)
        {
            switch (random.Next(5))
            {
                case 0:
                case 1:
                    byte[] packet = Bytes(random.Next(60, 9000), i);
                    int head = Math.Min(packet.Length, random.Next(20, 256));
                    List<int> parts = [head];
                    for (int left = packet.Length - head; left > 0; left -= parts[^1])
                    {
                        parts.Add(Math.Min(left, random.Next(1000, 4032)));
                    }

                    if (bed.Send(packet, [.. parts], tag))
                    {
                        tag++;
                        sent.Enqueue(packet);
                    }

                    break;
                case 2:
                    while (bed.Backend.Take() is { } next)
                    {
                        Assert.Equal(sent.Dequeue(), next.Bytes);
                        taken.Enqueue(next);
                    }

                    while (random.Next(8) != 0 && taken.TryDequeue(out NetbackPacket? done))
                    {
                        bed.Backend.Answer(done);
                    }

                    reported += bed.Sent().Count;
                    break;
                case 3:
                    byte[] received = Bytes(random.Next(60, 9000), i);
                    if (bed.Backend.Inject(received))
                    {
                        injected.Enqueue(received);
                    }

                    break;
                default:
                    foreach ((byte[] bytes, _) in bed.Received())
                    {
                        Assert.Equal(injected.Dequeue(), bytes);
                    }

                    break;
            }
        }

        while (bed.Backend.Take() is { } rest)
        {
            taken.Enqueue(rest);
        }

        while (taken.TryDequeue(out NetbackPacket? done))
        {
            bed.Backend.Answer(done);
        }

        reported += bed.Sent().Count;
        Assert.Equal((int)tag, reported);
        bed.Received();
        Assert.Equal(bed.IdleGrants, bed.Grants.Granted);
        Assert.False(bed.Health.IsBroken);
    }

    [Property(MaxTest = 40)]
    public void Whatever_a_backend_puts_into_the_receive_ring_no_buffer_is_lost_or_given_back_twice(int seed)
    {
        Random random = new(seed);
        Bed bed = new();
        for (int step = 0; step < 40 && !bed.Health.IsBroken; step++)
        {
            int count = Math.Min(random.Next(1, 30), bed.Backend.Buffers);
            for (int i = 0; i < count; i++)
            {
                NetifReceiveRequest request = bed.Backend.TakeBuffer();
                bool isHonest = random.Next(6) != 0;
                bed.Backend.PlaceRaw(new NetifReceiveResponse
                {
                    Id = random.Next(200) == 0 ? (ushort)random.Next() : request.Id,
                    Offset = isHonest ? (ushort)0 : (ushort)random.Next(65536),
                    Flags = (NetifReceiveFlags)random.Next(16) & (random.Next(3) == 0 ? (NetifReceiveFlags)15 : NetifReceiveFlags.MoreData),
                    Status = isHonest ? (short)random.Next(1, 4097) : (short)random.Next(-100, 8000),
                });
            }

            bed.Backend.Expose(random.Next(60) == 0 ? 5u : 0);
            bed.Received();
            if (!bed.Health.IsBroken)
            {
                Assert.Equal(256, bed.Outstanding);
            }
        }

        bed.Receive.GiveUp();
        bed.Refills = false;
        bed.Received();
        Assert.Equal(0, bed.Outstanding);
        Assert.True(bed.Receive.TryRequestEvent());
    }

    private static byte[] Bytes(int length, int seed = 1)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        bytes[12] = 0x12;
        return bytes;
    }

    private static byte[] TcpPacket(int length)
    {
        byte[] packet = Bytes(length);
        packet[12] = 8;
        packet[13] = 0;
        packet[14] = 0x45;
        packet[20] = 0;
        packet[21] = 0;
        packet[23] = 6;
        packet[34 + 12] = 0x50;
        return packet;
    }

    /// <summary>A pair of queues, its backend, and a user that keeps the receive ring full.</summary>
    private sealed class Bed
    {
        private readonly Dictionary<uint, ulong> _buffers = [];
        private readonly Dictionary<uint, List<ulong>> _sending = [];
        private uint _nextTag = 1;

        public Bed()
        {
            _ = new FakeMachine(4096);
            Grants = new FakeGrants();
            Assert.True(FrameAllocator.TryAllocate(4, ulong.MaxValue, out ulong memory));
            Transmit = NetTransmitQueue.Create(Grants.Access, Health, 0, memory << 12)!;
            Receive = NetReceiveQueue.Create(Grants.Access, Health, 0, (memory << 12) + NetTransmitQueue.MemorySize)!;
            Connect();
            for (int i = 0; i < 256; i++)
            {
                Supply(FakeMachine.NewPage());
            }

            Receive.Publish(out _);
            IdleGrants = Grants.Granted;
        }

        public FakeGrants Grants { get; }

        public FrontendHealth Health { get; } = new(FrontendKind.Net, 0);

        public NetTransmitQueue Transmit { get; }

        public NetReceiveQueue Receive { get; }

        public FakeNetback Backend { get; private set; } = null!;

        public int IdleGrants { get; }

        /// <summary>Buffers that the driver has.</summary>
        public int Outstanding => _buffers.Count;

        public int Returned { get; private set; }

        public bool Refills { get; set; } = true;

        public void Connect()
        {
            Assert.True(Transmit.TryPrepare(FakeNetback.Domain));
            Assert.True(Receive.TryPrepare(FakeNetback.Domain));
            Backend = new FakeNetback(Grants, Transmit.RingReference, Receive.RingReference);
            Transmit.Connect();
        }

        public bool Send(byte[] packet, int[] parts, uint tag, NetifTransmitFlags flags = 0, NetifExtraInfo extra = default)
        {
            DmaSegment[] segments = new DmaSegment[parts.Length];
            int done = 0;
            List<ulong> frames = [];
            for (int i = 0; i < parts.Length; i++)
            {
                Assert.True(FrameAllocator.TryAllocate(out ulong frame));
                frames.Add(frame);
                ulong address = (frame << 12) + (parts[i] <= 4032 ? 64ul : 0);
                packet.AsSpan(done, parts[i]).CopyTo(PhysicalMemory.Bytes(address, parts[i]));
                segments[i] = new DmaSegment(address, (uint)parts[i]);
                done += parts[i];
            }

            Assert.True(NetTransmitQueue.Fits(segments, (uint)segments.Sum(segment => segment.Length), true));
            bool isTaken = Transmit.TrySend(flags, in extra, segments, (uint)packet.Length, tag);
            Transmit.Publish(out _);
            if (isTaken)
            {
                _sending.Add(tag, frames);
            }
            else
            {
                Free(frames);
            }

            return isTaken;
        }

        public List<uint> Sent()
        {
            List<uint> tags = [];
            while (Transmit.TryTakeSent(out uint tag))
            {
                Assert.True(_sending.Remove(tag, out List<ulong>? frames), "a packet was sent twice");
                Free(frames!);
                tags.Add(tag);
            }

            return tags;
        }

        public List<(byte[] Packet, PacketOffload Offload)> Received()
        {
            List<(byte[], PacketOffload)> packets = [];
            Span<uint> tags = stackalloc uint[NetReceiveQueue.MaximumBuffers];
            List<ulong> free = [];
            while (Receive.TryTake(tags, out ReceivedPacket packet))
            {
                byte[] bytes = new byte[packet.Length];
                int done = 0;
                for (int i = 0; i < packet.BufferCount; i++)
                {
                    Assert.True(_buffers.Remove(tags[i], out ulong address), "a buffer came back twice");
                    free.Add(address);
                    uint offset = i == 0 ? packet.Offset : 0;
                    int part = Math.Min(bytes.Length - done, (int)(4096 - offset));
                    PhysicalMemory.Bytes(address + offset, part).CopyTo(bytes.AsSpan(done));
                    done += part;
                }

                Assert.Equal(bytes.Length, done);
                if (packet.Length == 0)
                {
                    Returned += packet.BufferCount;
                }
                else
                {
                    Assert.Equal(FrontendFault.None, packet.Fault);
                    packets.Add((bytes, packet.Offload));
                }
            }

            free.ForEach(Supply);
            Receive.Publish(out _);
            return packets;
        }

        private static void Free(List<ulong> frames) => frames.ForEach(f => FrameAllocator.Free(f, 0));

        private void Supply(ulong address)
        {
            if (Refills && Receive.TrySupply(address, _nextTag))
            {
                _buffers[_nextTag++] = address;
            }
        }
    }
}
