using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

public sealed class VbdTests
{
    private const uint Xvda = 51712;

    private readonly TestMachine _machine = new();
    private readonly FakeDisk _disk = new(2048);
    private readonly TestGuest _guest;

    public VbdTests()
    {
        _guest = _machine.CreateGuest(1);
    }

    private VbdDevice CreateVbd(bool readOnly = false, bool noDiscard = false, BlockDevice? disk = null)
    {
        VbdSettings settings = new() { VirtualDevice = Xvda, IsReadOnly = readOnly, NoDiscard = noDiscard };
        Assert.Equal(0, VbdDevice.Create(_machine.Bus, _machine.Owner, _guest.Domain, disk ?? _disk, settings, out VbdDevice? vbd));
        _machine.Settle();
        return vbd!;
    }

    private FakeBlkfront CreateFront(int queues = 1, int order = 0)
    {
        CreateVbd();
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect(queues, order);
        return front;
    }

    private Segment NewSegment(out ulong frame, byte first = 0, byte last = 7)
    {
        frame = _guest.NewFrame();
        return new Segment(_guest.Grant(frame), first, last);
    }

    private static void Fill(ulong frame, byte seed)
    {
        Span<byte> bytes = PhysicalMemory.Frame(frame);
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)(seed + i * 7 + i / 256);
        }
    }

    [Fact]
    public void Nodes_are_those_of_a_toolstack_and_offered_features()
    {
        CreateVbd();
        string front = "/local/domain/1/device/vbd/51712";
        string back = "/local/domain/32751/backend/vbd/1/51712";
        Assert.Equal(back, _machine.Read($"{front}/backend"));
        Assert.Equal("32751", _machine.Read($"{front}/backend-id"));
        Assert.Equal("51712", _machine.Read($"{front}/virtual-device"));
        Assert.Equal("1", _machine.Read($"{front}/state"));
        Assert.Equal(front, _machine.Read($"{back}/frontend"));
        Assert.Equal("w", _machine.Read($"{back}/mode"));
        Assert.Equal("2", _machine.Read($"{back}/state"));
        Assert.Equal("1", _machine.Read($"{back}/feature-flush-cache"));
        Assert.Equal("1", _machine.Read($"{back}/feature-barrier"));
        Assert.Equal("1", _machine.Read($"{back}/feature-discard"));
        Assert.Equal("4096", _machine.Read($"{back}/discard-granularity"));
        Assert.Equal("64", _machine.Read($"{back}/feature-max-indirect-segments"));
        Assert.Equal("2", _machine.Read($"{back}/max-ring-page-order"));
        Assert.Equal("n1 r32751", _machine.Permissions(front));
        Assert.Equal("n1 r32751", _machine.Permissions($"{front}/state"));
        Assert.Equal("n32751 r1", _machine.Permissions(back));
        Assert.Equal("n32751 r1", _machine.Permissions($"{back}/state"));
    }

    [Fact]
    public void Read_and_write_go_to_the_guests_pages_and_answers_follow_the_event_rules()
    {
        FakeBlkfront front = CreateFront();
        Assert.Equal("2048", front.BackendNode("sectors"));
        Assert.Equal("512", front.BackendNode("sector-size"));
        Assert.Equal("4096", front.BackendNode("physical-sector-size"));
        Assert.Equal("0", front.BackendNode("info"));
        Segment segment = NewSegment(out ulong frame, 1, 6);
        Fill(frame, 3);
        front.PutTransfer(0, BlkifOperation.Write, 77, 16, [segment]);
        Assert.True(front.Rings[0].Push());
        Assert.Equal(1, _disk.PendingCount);
        Assert.Equal(2, _guest.PinCount);
        Assert.Empty(front.Take());
        _disk.Complete(0);
        Assert.Equal([new Response(77, 1, 0)], front.Take());
        Assert.Equal(1, _guest.TakeEvents(front.Rings[0].Port));
        Assert.Equal(1, _guest.PinCount);
        Assert.True(PhysicalMemory.Frame(frame).Slice(512, 6 * 512).SequenceEqual(_disk.Data.AsSpan(16 * 512, 6 * 512)));

        Segment other = NewSegment(out ulong target);
        front.PutTransfer(0, BlkifOperation.Read, 78, 16, [other]);
        Assert.True(front.Rings[0].Push());
        _disk.Complete(0);
        Assert.Equal([new Response(78, 0, 0)], front.Take());
        Assert.True(PhysicalMemory.Frame(target).SequenceEqual(_disk.Data.AsSpan(16 * 512, 4096)));
    }

    /// <summary>Reads as fast as they are answered; the front end is never short of requests.</summary>
    [Theory]
    [InlineData(4_000_000ul, 0u, 4_000_000ul)]
    [InlineData(0ul, 250u, 250ul * 4096)]
    [InlineData(4_000_000ul, 250u, 250ul * 4096)]
    [InlineData(1_000ul, 0u, 1_000ul)]
    public void Limits_are_kept_over_ten_seconds(ulong bytesPerSecond, uint requestsPerSecond, ulong expected)
    {
        VbdSettings settings = new() { VirtualDevice = Xvda, BytesPerSecond = bytesPerSecond, RequestsPerSecond = requestsPerSecond };
        Assert.Equal(0, VbdDevice.Create(_machine.Bus, _machine.Owner, _guest.Domain, _disk, settings, out _));
        _machine.Settle();
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect();
        Segment segment = NewSegment(out _);
        const ulong end = 10_000_000_000;
        ulong done = 0;
        ulong id = 0;
        while (_machine.Now < end)
        {
            while (front.Rings[0].Free > 0)
            {
                front.PutTransfer(0, BlkifOperation.Read, id++, 0, [segment]);
            }

            front.Rings[0].Push();
            _machine.Settle();
            _disk.CompleteAll();
            done += (ulong)front.Take().Count * 4096;
            Assert.InRange(_machine.WakeTime, _machine.Now + 1, ulong.MaxValue - 1);
            _machine.Now = _machine.WakeTime;
            _machine.Bus.Process();
        }

        // A request, and what may be owed at the end.
        ulong slack = expected / 50 + 2 * 4096;
        Assert.InRange(done, expected * 10 - slack, expected * 10 * 105 / 100 + slack);
    }

    [Fact]
    public void A_limited_disk_has_one_ring_and_wakes_nobody_once_it_is_closed()
    {
        VbdSettings settings = new() { VirtualDevice = Xvda, RequestsPerSecond = 1 };
        Assert.Equal(0, VbdDevice.Create(_machine.Bus, _machine.Owner, _guest.Domain, _disk, settings, out VbdDevice? vbd));
        _machine.Settle();
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect();
        Assert.Equal("1", front.BackendNode("multi-queue-max-queues"));
        Segment segment = NewSegment(out _);
        for (ulong id = 0; id < 3; id++)
        {
            front.PutTransfer(0, BlkifOperation.Read, id, 0, [segment]);
        }

        front.Rings[0].Push();
        _machine.Settle();
        Assert.NotEqual(BackendBus.Never, vbd!.WakeTime);
        _disk.CompleteAll();
        front.SetState(6);
        _machine.Settle();
        Assert.Equal(6, front.BackendState);
        Assert.Equal(BackendBus.Never, vbd.WakeTime);
    }

    [Fact]
    public void A_granted_read_only_page_cannot_be_read_into()
    {
        FakeBlkfront front = CreateFront();
        uint reference = _guest.Grant(_guest.NewFrame(), readOnly: true);
        front.PutTransfer(0, BlkifOperation.Read, 1, 0, [new Segment(reference, 0, 7)]);
        front.PutTransfer(0, BlkifOperation.Write, 2, 0, [new Segment(reference, 0, 7)]);
        front.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([new Response(1, 0, -1), new Response(2, 1, 0)], front.Take());
    }

    [Fact]
    public void Neighbouring_pages_become_one_segment()
    {
        FakeBlkfront front = CreateFront();
        ulong first = _guest.NewFrames(2);
        Segment[] segments = Enumerable.Range(0, 4).Select(i => new Segment(_guest.Grant(first + (ulong)i), 0, 7)).ToArray();
        front.PutTransfer(0, BlkifOperation.Write, 1, 0, segments);
        front.Rings[0].Push();
        Assert.Equal(1, _disk.MostSegments);
        _disk.CompleteAll();
        Assert.Equal([new Response(1, 1, 0)], front.Take());
    }

    [Theory]
    [InlineData(12, 64, 1)]
    [InlineData(64, 64, 1)]
    [InlineData(64, 1, 64)]
    [InlineData(33, 16, 3)]
    public void Indirect_requests_are_cut_for_the_device(int count, uint deviceSegments, int expected)
    {
        _disk.Settings.MaximumSegments = deviceSegments;
        _disk.Settings.MaximumSegmentSize = 4096;
        FakeBlkfront front = CreateFront();
        List<ulong> frames = new();
        Segment[] segments = new Segment[count];
        for (int i = 0; i < count; i++)
        {
            segments[i] = NewSegment(out ulong frame);
            Fill(frame, (byte)i);
            frames.Add(frame);
        }

        ulong page = _guest.NewFrame();
        uint reference = _guest.Grant(page, readOnly: true);
        front.PutIndirect(0, BlkifOperation.Write, 5, 8, page, reference, segments);
        front.Rings[0].Push();
        Assert.Equal(expected, _disk.Submitted);
        _disk.CompleteAll();
        Assert.Equal([new Response(5, 1, 0)], front.Take());
        for (int i = 0; i < count; i++)
        {
            Assert.True(PhysicalMemory.Frame(frames[i]).SequenceEqual(_disk.Data.AsSpan((8 + i * 8) * 512, 4096)));
        }

        Assert.Equal(1, _guest.PinCount);
    }

    [Fact]
    public void A_part_that_fails_fails_the_request_once()
    {
        _disk.Settings.MaximumSegments = 1;
        _disk.Settings.MaximumSegmentSize = 4096;
        FakeBlkfront front = CreateFront();
        Segment[] segments = Enumerable.Range(0, 11).Select(_ => NewSegment(out ulong _)).ToArray();
        front.PutTransfer(0, BlkifOperation.Write, 5, 8, segments);
        front.Rings[0].Push();
        _disk.Complete(2, BlockStatus.Error);
        Assert.Empty(front.Take());
        _disk.CompleteAll();
        Assert.Equal([new Response(5, 1, -1)], front.Take());
        Assert.Equal(1, _guest.PinCount);
    }

    [Fact]
    public void Requests_wait_in_order_when_the_device_has_no_room()
    {
        FakeBlkfront front = CreateFront();
        _disk.Capacity = 2;
        for (int i = 0; i < 10; i++)
        {
            front.PutTransfer(0, BlkifOperation.Read, (ulong)i, (ulong)i, [NewSegment(out _, 0, 0)]);
        }

        front.Rings[0].Push();
        List<ulong> order = new();
        for (int i = 0; i < 10; i++)
        {
            Assert.InRange(_disk.PendingCount, 1, 2);
            _disk.Complete(0);
            order.AddRange(front.Take().Select(response => response.Id));
        }

        Assert.Equal(Enumerable.Range(0, 10).Select(i => (ulong)i), order);
    }

    [Fact]
    public void Barrier_waits_for_earlier_requests_and_holds_back_later_ones()
    {
        FakeBlkfront front = CreateFront();
        front.PutTransfer(0, BlkifOperation.Write, 1, 0, [NewSegment(out _)]);
        front.PutTransfer(0, BlkifOperation.Write, 2, 8, [NewSegment(out _)]);
        front.PutTransfer(0, BlkifOperation.WriteBarrier, 3, 16, [NewSegment(out _)]);
        front.PutTransfer(0, BlkifOperation.Write, 4, 24, [NewSegment(out _)]);
        front.Rings[0].Push();
        Assert.Equal([BlockOperation.Write, BlockOperation.Write], _disk.Log);
        _disk.Complete(1);
        Assert.Equal(2, _disk.Log.Count);
        _disk.Complete(0);
        Assert.Equal(BlockOperation.Flush, _disk.Log[2]);
        _disk.Complete(0);
        Assert.Equal(BlockOperation.Write, _disk.Log[3]);
        _disk.Complete(0);
        Assert.Equal(BlockOperation.Flush, _disk.Log[4]);
        Assert.Equal(5, _disk.Log.Count);
        _disk.Complete(0);
        Assert.Equal(6, _disk.Log.Count);
        _disk.Complete(0);
        Assert.Equal([2ul, 1ul, 3ul, 4ul], front.Take().Select(response => response.Id));
    }

    [Fact]
    public void Empty_barrier_and_flush_are_one_flush()
    {
        FakeBlkfront front = CreateFront();
        front.PutTransfer(0, BlkifOperation.FlushDiskCache, 1, 0, []);
        front.PutTransfer(0, BlkifOperation.WriteBarrier, 2, 0, []);
        front.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([BlockOperation.Flush, BlockOperation.Flush], _disk.Log);
        Assert.Equal([new Response(1, 3, 0), new Response(2, 2, 0)], front.Take());
    }

    [Fact]
    public void A_failed_flush_fails_the_barrier_and_does_not_stall_the_ring()
    {
        FakeBlkfront front = CreateFront();
        front.PutTransfer(0, BlkifOperation.WriteBarrier, 1, 0, [NewSegment(out _)]);
        front.PutTransfer(0, BlkifOperation.Read, 2, 0, [NewSegment(out _)]);
        front.Rings[0].Push();
        _disk.Complete(0, BlockStatus.Error);
        _disk.CompleteAll();
        Assert.Equal([new Response(1, 2, -1), new Response(2, 0, 0)], front.Take());
    }

    [Fact]
    public void Flush_is_refused_when_it_was_not_offered()
    {
        _disk.Settings.HasFlush = false;
        FakeBlkfront front = CreateFront();
        Assert.Equal("0", front.BackendNode("feature-flush-cache"));
        front.PutTransfer(0, BlkifOperation.FlushDiskCache, 1, 0, []);
        front.PutTransfer(0, BlkifOperation.WriteBarrier, 2, 0, []);
        front.Rings[0].Push();
        Assert.Equal([new Response(1, 3, -2), new Response(2, 2, -2)], front.Take());
    }

    [Fact]
    public void Discard_is_cut_checked_and_refused_when_secure()
    {
        Array.Fill(_disk.Data, (byte)1);
        _disk.Settings.MaximumDiscardSectors = 100;
        FakeBlkfront front = CreateFront();
        front.PutDiscard(0, 1, 8, 256);
        front.PutDiscard(0, 2, 8, 8, Blkif.DiscardSecure);
        front.PutDiscard(0, 3, 2040, 9);
        front.PutDiscard(0, 4, ulong.MaxValue, 2);
        front.PutDiscard(0, 5, 8, ulong.MaxValue);
        front.PutDiscard(0, 6, 8, 0);
        front.Rings[0].Push();
        Assert.Equal(3, _disk.Submitted);
        _disk.CompleteAll();
        Assert.Equal([(2ul, -2), (3ul, -1), (4ul, -1), (5ul, -1), (6ul, -1), (1ul, 0)], front.Take().Select(r => (r.Id, (int)r.Status)));
        Assert.Equal(256 * 512, _disk.Data.Count(value => value == 0));
        Assert.Equal(1, _disk.Data[8 * 512 - 1]);
        Assert.Equal(0, _disk.Data[8 * 512]);
    }

    [Fact]
    public void Discard_can_be_switched_off()
    {
        CreateVbd(noDiscard: true);
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect();
        Assert.Equal("0", front.BackendNode("feature-discard"));
        Assert.Equal("0", front.BackendNode("discard-enable"));
        front.PutDiscard(0, 1, 8, 8);
        front.Rings[0].Push();
        Assert.Equal([new Response(1, 5, -2)], front.Take());
    }

    [Fact]
    public void Read_only_refuses_writes_and_says_so()
    {
        CreateVbd(readOnly: true);
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect();
        Assert.Equal("4", front.BackendNode("info"));
        Assert.Equal("r", front.BackendNode("mode"));
        front.PutTransfer(0, BlkifOperation.Write, 1, 0, [NewSegment(out _)]);
        front.PutTransfer(0, BlkifOperation.WriteBarrier, 2, 0, [NewSegment(out _)]);
        front.PutDiscard(0, 3, 0, 8);
        front.PutTransfer(0, BlkifOperation.Read, 4, 0, [NewSegment(out _)]);
        front.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([(1ul, -1), (2ul, -1), (3ul, -1), (4ul, 0)], front.Take().Select(r => (r.Id, (int)r.Status)));
        Assert.DoesNotContain(_disk.Log, operation => operation != BlockOperation.Read);
    }

    [Fact]
    public void Bad_requests_get_errors()
    {
        FakeBlkfront front = CreateFront();
        Segment good = NewSegment(out ulong page);
        uint pageReference = _guest.Grant(page);
        front.PutTransfer(0, BlkifOperation.Read, 1, 0, []);
        front.PutTransfer(0, BlkifOperation.Read, 2, 0, [good], count: 12);
        front.PutTransfer(0, BlkifOperation.Read, 3, 0, [good with { First = 5, Last = 4 }]);
        front.PutTransfer(0, BlkifOperation.Read, 4, 0, [good with { Last = 8 }]);
        front.PutTransfer(0, BlkifOperation.Read, 5, 2041, [good]);
        front.PutTransfer(0, BlkifOperation.Read, 6, ulong.MaxValue, [good]);
        front.PutTransfer(0, BlkifOperation.Read, 7, 0, [good, good with { Reference = 9999 }]);
        front.PutTransfer(0, (BlkifOperation)4, 8, 0, [good]);
        front.PutTransfer(0, (BlkifOperation)255, 9, 0, [good]);
        front.PutIndirect(0, BlkifOperation.Discard, 10, 0, page, pageReference, [good]);
        front.PutIndirect(0, BlkifOperation.Read, 11, 0, page, pageReference, [], count: 65);
        front.PutIndirect(0, BlkifOperation.Read, 12, 0, page, pageReference, [], count: 0);
        front.PutIndirect(0, BlkifOperation.Read, 13, 0, page, 9999, [good]);
        front.Rings[0].Push();
        Assert.Equal(0, _disk.Submitted);
        Assert.Equal(1, _guest.PinCount);
        Assert.Equal(
            [-1, -1, -1, -1, -1, -1, -1, -2, -2, -1, -1, -1, -1],
            front.Take().Select(response => (int)response.Status));
    }

    [Fact]
    public void Sectors_of_512_bytes_on_large_blocks_are_checked()
    {
        _disk.Settings.LogicalBlockSize = 4096;
        FakeBlkfront front = CreateFront();
        Assert.Equal("4096", front.BackendNode("sector-size"));
        Assert.Equal("2048", front.BackendNode("sectors"));
        front.PutTransfer(0, BlkifOperation.Read, 1, 1, [NewSegment(out _)]);
        front.PutTransfer(0, BlkifOperation.Read, 2, 8, [NewSegment(out _, 0, 0)]);
        front.PutTransfer(0, BlkifOperation.Read, 3, 8, [NewSegment(out _, 1, 4), NewSegment(out _, 0, 3)]);
        front.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([(1ul, -1), (2ul, -1), (3ul, 0)], front.Take().Select(r => (r.Id, (int)r.Status)));
    }

    [Fact]
    public void Small_pieces_are_never_cut_inside_a_large_block()
    {
        _disk.Settings.LogicalBlockSize = 2048;
        _disk.Settings.MaximumSegments = 5;
        FakeBlkfront front = CreateFront();
        Segment[] segments = Enumerable.Range(0, 8).Select(_ => NewSegment(out ulong _, 2, 2)).ToArray();
        front.PutTransfer(0, BlkifOperation.Write, 1, 4, segments);
        front.Rings[0].Push();
        Assert.Equal(2, _disk.Submitted);
        _disk.CompleteAll();
        Assert.Equal([new Response(1, 1, 0)], front.Take());
        _disk.Settings.MaximumSegments = 3;
        front.PutTransfer(0, BlkifOperation.Write, 2, 4, segments);
        front.Rings[0].Push();
        Assert.Equal([new Response(2, 1, -1)], front.Take());
        Assert.Equal(1, _guest.PinCount);
    }

    [Fact]
    public void A_frontend_may_count_in_large_sectors()
    {
        _disk.Settings.LogicalBlockSize = 2048;
        CreateVbd();
        FakeBlkfront front = new(_guest, Xvda);
        front.Write("feature-large-sector-size", "1");
        front.Connect();
        Assert.Equal("512", front.BackendNode("sectors"));
        Fill(NewFrameOf(out Segment segment, 1, 1), 9);
        front.PutTransfer(0, BlkifOperation.Write, 1, 511, [segment]);
        front.PutTransfer(0, BlkifOperation.Write, 2, 511, [segment with { First = 0 }]);
        front.PutTransfer(0, BlkifOperation.Write, 3, 0, [segment with { Last = 2 }]);
        front.PutDiscard(0, 4, 0, 2);
        front.PutDiscard(0, 5, 511, 2);
        front.PutDiscard(0, 6, 1ul << 62, 2);
        front.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([(2ul, -1), (3ul, -1), (5ul, -1), (6ul, -1), (1ul, 0), (4ul, 0)], front.Take().Select(r => (r.Id, (int)r.Status)));
        Assert.NotEqual(0, _disk.Data[2047 * 512 + 300]);
    }

    private ulong NewFrameOf(out Segment segment, byte first, byte last)
    {
        segment = NewSegment(out ulong frame, first, last);
        return frame;
    }

    [Fact]
    public void The_32_bit_layout_is_understood()
    {
        CreateVbd();
        FakeBlkfront front = new(_guest, Xvda, BlkifLayout.Bits32, "x86_32-abi");
        front.Connect(order: 1);
        for (int i = 0; i < 60; i++)
        {
            front.PutTransfer(0, BlkifOperation.Read, (ulong)i, 3, [NewSegment(out _, 3, 5)]);
        }

        ulong page = _guest.NewFrame();
        front.PutIndirect(0, BlkifOperation.Read, 60, 3, page, _guest.Grant(page), [NewSegment(out _)]);
        front.PutDiscard(0, 61, 3, 5);
        front.Rings[0].Push();
        Assert.Equal(62, _disk.PendingCount);
        _disk.CompleteAll();
        Assert.All(front.Take(), response => Assert.Equal(0, response.Status));
    }

    [Fact]
    public void Rings_of_several_pages_and_several_rings_work()
    {
        FakeDisk disk = new(4096, queues: 3);
        CreateVbd(disk: disk);
        FakeBlkfront front = new(_guest, Xvda);
        Assert.Equal("3", front.BackendNode("multi-queue-max-queues"));
        front.Connect(queues: 3, order: 2);
        for (int round = 0; round < 3; round++)
        {
            for (int ring = 0; ring < 3; ring++)
            {
                for (int i = 0; i < 128; i++)
                {
                    front.PutTransfer(ring, BlkifOperation.Read, (ulong)(ring * 1000 + i), (ulong)i, [NewSegment(out _, 0, 0)]);
                }

                front.Rings[ring].Push();
            }

            Assert.Equal(384, disk.PendingCount);
            disk.CompleteAll();
            for (int ring = 0; ring < 3; ring++)
            {
                Assert.Equal(Enumerable.Range(ring * 1000, 128).Select(i => (ulong)i), front.Take(ring).Select(r => r.Id));
            }
        }

        Assert.Equal(12, _guest.PinCount);
    }

    [Theory]
    [InlineData(33u)]
    [InlineData(0x80000000u)]
    [InlineData(uint.MaxValue)]
    public void An_impossible_index_closes_the_device(uint producer)
    {
        FakeBlkfront front = CreateFront();
        front.PutTransfer(0, BlkifOperation.Read, 1, 0, [NewSegment(out _)]);
        front.Rings[0].Push();
        front.Rings[0].PushHostile(producer);
        _machine.Settle();
        Assert.Equal(5, front.BackendState);
        Assert.Equal(2, _guest.PinCount);
        _disk.CompleteAll();
        _machine.Settle();
        Assert.Equal(0, _guest.PinCount);
        Assert.Equal(0, _guest.BoundPorts);

        // It can begin anew.
        front.SetState(6);
        Assert.Equal(6, front.BackendState);
        front.SetState(1);
        Assert.Equal(2, front.BackendState);
        front.Connect();
        front.PutTransfer(0, BlkifOperation.Read, 2, 0, [NewSegment(out _)]);
        front.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([new Response(2, 0, 0)], front.Take());
    }

    [Theory]
    [InlineData(new[] { 5, 6, 1 })]
    [InlineData(new[] { 6, 1 })]
    [InlineData(new[] { 1 })]
    public void A_frontend_may_hand_over_to_another(int[] states)
    {
        FakeBlkfront front = CreateFront();
        front.PutTransfer(0, BlkifOperation.Read, 1, 0, [NewSegment(out _)]);
        front.Rings[0].Push();
        foreach (int state in states)
        {
            front.SetState(state);
            if (state == 5)
            {
                Assert.Equal(5, front.BackendState);
            }
        }

        // The request in flight holds the old connection.
        Assert.NotEqual(2, front.BackendState);
        Assert.Equal(2, _guest.PinCount);
        _disk.CompleteAll();
        _machine.Settle();
        Assert.Equal(2, front.BackendState);
        Assert.Equal(0, _guest.PinCount);
        Assert.Empty(front.Take());

        FakeBlkfront next = new(_guest, Xvda);
        next.RemoveNode("ring-page-order");
        next.Connect(order: 1);
        next.PutTransfer(0, BlkifOperation.Read, 2, 0, [NewSegment(out _)]);
        next.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([new Response(2, 0, 0)], next.Take());
    }

    [Fact]
    public void A_frontend_that_skips_states_connects()
    {
        CreateVbd();
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect(state: 4);
        front.SetState(6);
        front.Connect(state: 4);
    }

    [Fact]
    public void A_closing_frontend_is_still_served()
    {
        FakeBlkfront front = CreateFront();
        front.SetState(5);
        Assert.Equal(5, front.BackendState);
        front.PutTransfer(0, BlkifOperation.Read, 1, 0, [NewSegment(out _)]);
        front.Rings[0].Push();
        _disk.CompleteAll();
        Assert.Equal([new Response(1, 0, 0)], front.Take());
    }

    [Theory]
    [InlineData("event-channel", "77")]
    [InlineData("event-channel", "x")]
    [InlineData("ring-ref", "9999")]
    [InlineData("ring-ref", "-1")]
    [InlineData("protocol", "arm-abi")]
    [InlineData("ring-page-order", "3")]
    [InlineData("multi-queue-num-queues", "0")]
    [InlineData("multi-queue-num-queues", "2")]
    public void Wrong_nodes_are_refused_and_nothing_is_held(string node, string value)
    {
        CreateVbd();
        FakeBlkfront front = new(_guest, Xvda);
        front.Prepare();
        front.Write(node, value);
        front.SetState(3);
        Assert.Equal(5, front.BackendState);
        Assert.Equal(0, _guest.PinCount);
        Assert.Equal(0, _guest.BoundPorts);
    }

    [Fact]
    public void A_queue_that_is_missing_undoes_those_before()
    {
        FakeDisk disk = new(4096, queues: 2);
        CreateVbd(disk: disk);
        FakeBlkfront front = new(_guest, Xvda);
        front.Prepare(queues: 2);
        front.RemoveNode("queue-1/ring-ref");
        front.SetState(3);
        Assert.Equal(5, front.BackendState);
        Assert.Equal(0, _guest.PinCount);
        Assert.Equal(0, _guest.BoundPorts);
    }

    [Fact]
    public void Growth_is_told_to_a_connected_frontend()
    {
        FakeBlkfront front = CreateFront();
        _disk.Settings.Sectors = 1024;
        _disk.Client!.GeometryChanged();
        _machine.Settle();
        Assert.Equal("1024", front.BackendNode("sectors"));
        Assert.Equal(4, front.BackendState);
        front.PutTransfer(0, BlkifOperation.Read, 1, 1024, [NewSegment(out _, 0, 0)]);
        front.Rings[0].Push();
        Assert.Equal([new Response(1, 0, -1)], front.Take());
    }

    [Fact]
    public void Unplug_waits_for_the_guest()
    {
        VbdDevice vbd = CreateVbd();
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect();
        vbd.Unplug();
        _machine.Settle();
        Assert.Equal(5, front.BackendState);
        Assert.Empty(_machine.Owner.Gone);
        string backend = front.BackendDirectory;
        front.SetState(5);
        front.SetState(6);
        Assert.Equal([vbd], _machine.Owner.Gone);
        Assert.Null(_machine.Read($"{backend}/state"));
        Assert.Null(_machine.Read("/local/domain/1/device/vbd/51712"));
        Assert.Null(_disk.Client);
        Assert.Equal(0, _guest.PinCount);
    }

    [Fact]
    public void Destroying_waits_for_requests_in_flight_only()
    {
        VbdDevice vbd = CreateVbd();
        FakeBlkfront front = new(_guest, Xvda);
        front.Connect();
        front.PutTransfer(0, BlkifOperation.Read, 1, 0, [NewSegment(out _)]);
        front.PutTransfer(0, BlkifOperation.WriteBarrier, 2, 0, [NewSegment(out _)]);
        front.Rings[0].Push();
        vbd.Destroy();
        _machine.Settle();
        Assert.Empty(_machine.Owner.Gone);
        while (_disk.PendingCount > 0)
        {
            Assert.NotEqual(0, _guest.PinCount);
            _disk.Complete(0);
            _machine.Settle();
        }

        Assert.Equal([vbd], _machine.Owner.Gone);
        Assert.Equal(0, _guest.PinCount);
        Assert.Equal(0, _guest.BoundPorts);
        Assert.Null(_disk.Client);
        _machine.ForgetGuest(_guest);
    }

    [Fact]
    public void A_disk_has_one_user()
    {
        CreateVbd();
        VbdSettings settings = new() { VirtualDevice = Xvda + 16 };
        Assert.Equal(-Errno.EBUSY, VbdDevice.Create(_machine.Bus, _machine.Owner, _guest.Domain, _disk, settings, out _));
    }

    [Fact]
    public void A_lying_device_is_survived()
    {
        FakeBlkfront front = CreateFront();
        _disk.Client!.Completed(3, BlockStatus.Success);
        _disk.Client!.Completed(uint.MaxValue, BlockStatus.Success);
        _disk.Client!.CompletionsEnd(99);
        _disk.Client!.RoomAvailable(-1);
        Assert.Empty(front.Take());
    }
}
