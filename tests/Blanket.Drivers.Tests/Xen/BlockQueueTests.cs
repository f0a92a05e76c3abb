using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Drivers.Xen;
using Blanket.Drivers.Xen.Block;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests.Xen;

public sealed class BlockQueueTests
{
    private const int DiskSectors = 4096;
    private const uint ZeroReference = 7;

    [Fact]
    public void A_request_goes_as_sectors_of_pages()
    {
        Bed bed = new();
        ulong page = FakeMachine.NewPage();
        new Random(1).NextBytes(PhysicalMemory.Bytes(page, 4096));
        Assert.True(bed.Submit(BlockOperation.Write, 10, 5, [new(page + 1024, 512), new(page + 2048, 2048)]));
        BlkRequest request = Assert.Single(bed.Backend.Take());
        Assert.Equal((BlkifOperation.Write, 10ul, false, (ushort)51712), (request.Operation, request.Sector, request.IsIndirect, request.Handle));
        Assert.Equal([(2, 2), (4, 7)], request.Segments.Select(s => (s.First, s.Last)));
        Assert.True(bed.Backend.Finish(request));
        Assert.Equal([(5u, BlockStatus.Success)], bed.Ended());
        Assert.Equal(PhysicalMemory.Bytes(page + 1024, 512).ToArray(), bed.Disk[5120..5632]);
        Assert.Equal(bed.IdleGrants, bed.Grants.Granted);
    }

    [Fact]
    public void A_segment_that_crosses_pages_becomes_a_piece_of_each()
    {
        Bed bed = new();
        Assert.True(FrameAllocator.TryAllocate(1, ulong.MaxValue, out ulong frame));
        Assert.True(bed.Submit(BlockOperation.Read, 0, 1, [new((frame << 12) + 2048, 4096)]));
        BlkRequest request = Assert.Single(bed.Backend.Take());
        Assert.Equal([(4, 7), (0, 3)], request.Segments.Select(s => (s.First, s.Last)));
        Assert.True(bed.Backend.Finish(request));
        Assert.Equal([(1u, BlockStatus.Success)], bed.Ended());
    }

    [Theory]
    [InlineData(11, 11, 1)]
    [InlineData(11, 12, 2)]
    [InlineData(11, 64, 6)]
    [InlineData(32, 12, 1)]
    [InlineData(32, 32, 1)]
    [InlineData(32, 33, 2)]
    [InlineData(256, 64, 1)]
    public void Long_requests_are_split(int limit, int pages, int entries)
    {
        Bed bed = new(maximumPieces: limit);
        DmaSegment[] segments = [.. Enumerable.Range(0, pages).Select(_ => new DmaSegment(FakeMachine.NewPage(), 4096))];
        Assert.True(bed.Submit(BlockOperation.Write, 16, 9, segments));
        List<BlkRequest> requests = bed.Backend.Take();
        Assert.Equal(entries, requests.Count);
        Assert.Equal(pages, requests.Sum(r => r.Segments.Length));
        Assert.All(requests, r => Assert.Equal(r.Segments.Length > 11, r.IsIndirect));
        for (int i = 0; i < requests.Count; i++)
        {
            Assert.Empty(bed.Ended());
            bed.Backend.Finish(requests[^(i + 1)]);
        }

        Assert.Equal([(9u, BlockStatus.Success)], bed.Ended());
    }

    [Fact]
    public void One_failed_part_fails_the_request()
    {
        Bed bed = new();
        DmaSegment[] segments = [.. Enumerable.Range(0, 30).Select(_ => new DmaSegment(FakeMachine.NewPage(), 4096))];
        Assert.True(bed.Submit(BlockOperation.Write, 0, 9, segments));
        List<BlkRequest> requests = bed.Backend.Take();
        bed.Backend.Answer(requests[0].Id, 0);
        bed.Backend.Answer(requests[2].Id, -1);
        bed.Backend.Answer(requests[1].Id, 0);
        Assert.Equal([(9u, BlockStatus.Error)], bed.Ended());
    }

    [Fact]
    public void Parts_end_at_logical_blocks()
    {
        Bed bed = new(blockSize: 4096);
        // Sixteen blocks in pieces of a sector and seven.
        List<DmaSegment> segments = [];
        for (int i = 0; i < 16; i++)
        {
            ulong page = FakeMachine.NewPage();
            segments.Add(new(page + 512, 512));
            segments.Add(new(page, 3584));
        }

        new Random(3).NextBytes(bed.Disk);
        Assert.True(bed.Submit(BlockOperation.Read, 64, 3, [.. segments]));
        List<BlkRequest> requests = bed.Backend.Take();
        Assert.All(requests, r => Assert.Equal(0, r.Bytes % 4096));
        requests.ForEach(r => bed.Backend.Finish(r));
        Assert.Equal([(3u, BlockStatus.Success)], bed.Ended());
        byte[] read = [.. segments.SelectMany(s => PhysicalMemory.Bytes(s.Address, (int)s.Length).ToArray())];
        // Each page was written twice, by the second piece last.
        Assert.Equal(bed.Disk[(64 * 512 + 512)..(64 * 512 + 4096)], read[512..4096]);
    }

    [Fact]
    public void Flush_discard_and_zeroes()
    {
        Bed bed = new(maximumPieces: 32);
        Array.Fill(bed.Disk, (byte)0xaa);
        Assert.True(bed.Submit(BlockOperation.Flush, 0, 1, []));
        Assert.True(bed.Submit(BlockOperation.Discard, 8, 2, [], 16));
        Assert.True(bed.Submit(BlockOperation.WriteZeroes, 100, 3, [], 5));
        Assert.True(bed.Submit(BlockOperation.WriteZeroes, 200, 4, [], 200));
        bed.Backend.Process();
        Assert.Equal([(1u, BlockStatus.Success), (2u, BlockStatus.Success), (3u, BlockStatus.Success), (4u, BlockStatus.Success)], bed.Ended());
        Assert.Equal(1, bed.Backend.Flushes);
        for (int sector = 0; sector < DiskSectors; sector++)
        {
            bool isZero = sector is (>= 8 and < 24) or (>= 100 and < 105) or (>= 200 and < 400);
            Assert.All(bed.Disk[(sector * 512)..(sector * 512 + 512)], b => Assert.Equal(isZero ? 0 : 0xaa, b));
        }
    }

    [Fact]
    public void A_full_ring_refuses_and_tells_when_there_is_room()
    {
        Bed bed = new(order: 0);
        ulong page = FakeMachine.NewPage();
        uint tag = 0;
        while (bed.Submit(BlockOperation.Read, 0, tag, [new(page, 512)]))
        {
            tag++;
        }

        Assert.Equal(32u, tag);
        Assert.False(bed.Queue.TakeRoomAvailable());
        bed.Backend.Process();
        Assert.Equal(32, bed.Ended().Count);
        Assert.True(bed.Queue.TakeRoomAvailable());
        Assert.False(bed.Queue.TakeRoomAvailable());
    }

    [Fact]
    public void A_request_that_does_not_fit_as_a_whole_leaves_nothing_behind()
    {
        Bed bed = new(order: 0);
        ulong page = FakeMachine.NewPage();
        for (uint i = 0; i < 30; i++)
        {
            Assert.True(bed.Submit(BlockOperation.Read, 0, i, [new(page, 512)]));
        }

        DmaSegment[] large = [.. Enumerable.Repeat(new DmaSegment(page, 4096), 30)];
        Assert.False(bed.Submit(BlockOperation.Read, 0, 99, large));
        Assert.Equal(30, bed.Backend.Take().Count);
        Assert.Equal(bed.IdleGrants + 30, bed.Grants.Granted);
    }

    [Theory]
    [InlineData(99ul)] // never used
    [InlineData(ulong.MaxValue)]
    [InlineData(0x7fff0000ul)]
    public void An_id_that_is_not_in_flight_breaks_the_device(ulong id)
    {
        Bed bed = new();
        Assert.True(bed.Submit(BlockOperation.Read, 0, 1, [new(FakeMachine.NewPage(), 512)]));
        bed.Backend.Take();
        bed.Backend.Answer(id, 0);
        Assert.Empty(bed.Ended());
        Assert.True(bed.Health.IsBroken);
        bed.Queue.GiveUp();
        Assert.Equal([(1u, BlockStatus.Error)], bed.Ended());
    }

    [Fact]
    public void An_answer_given_twice_breaks_the_device_even_when_the_record_is_used_again()
    {
        Bed bed = new();
        ulong page = FakeMachine.NewPage();
        Assert.True(bed.Submit(BlockOperation.Read, 0, 1, [new(page, 512)]));
        BlkRequest first = bed.Backend.Take()[0];
        bed.Backend.Finish(first);
        Assert.Equal([(1u, BlockStatus.Success)], bed.Ended());
        Assert.True(bed.Submit(BlockOperation.Read, 0, 2, [new(page, 512)]));
        bed.Backend.Take();
        bed.Backend.Answer(first.Id, 0);
        Assert.Empty(bed.Ended());
        Assert.True(bed.Health.IsBroken);
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(40u)]
    [InlineData(0x80000000u)]
    [InlineData(uint.MaxValue)]
    public void An_index_ahead_of_what_was_asked_breaks_the_device(uint step)
    {
        Bed bed = new();
        Assert.True(bed.Submit(BlockOperation.Read, 0, 1, [new(FakeMachine.NewPage(), 512)]));
        bed.Backend.Take();
        bed.Backend.Expose(step);
        Assert.Empty(bed.Ended());
        Assert.True(bed.Health.IsBroken);
        Assert.False(bed.Submit(BlockOperation.Read, 0, 2, [new(FakeMachine.NewPage(), 512)]));
    }

    [Fact]
    public void A_page_that_is_still_used_does_not_go_back_to_the_client()
    {
        Bed bed = new();
        Assert.True(bed.Submit(BlockOperation.Read, 0, 1, [new(FakeMachine.NewPage(), 512)]));
        BlkRequest request = bed.Backend.Take()[0];
        bed.Backend.Hold(request.Segments[0].Reference);
        bed.Backend.Answer(request.Id, 0);
        Assert.Empty(bed.Ended());
        Assert.True(bed.Health.IsBroken);
        bed.Queue.GiveUp();
        Assert.Empty(bed.Ended());
        bed.Backend.Drop(request.Segments[0].Reference);
        bed.Queue.Continue();
        Assert.Equal([(1u, BlockStatus.Error)], bed.Ended());
        Assert.True(bed.Queue.IsIdle);
    }

    [Fact]
    public void What_was_in_flight_is_sent_again_in_order_and_what_was_answered_is_not()
    {
        Bed bed = new();
        ulong page = FakeMachine.NewPage();
        for (uint i = 0; i < 10; i++)
        {
            Assert.True(bed.Submit(BlockOperation.Write, i * 8, i, [new(page, 4096)]));
        }

        List<BlkRequest> taken = bed.Backend.Take();
        bed.Backend.Finish(taken[7]);
        bed.Backend.Execute(taken[2]);
        bed.Reconnect();
        List<BlkRequest> again = bed.Backend.Take();
        Assert.Equal([0, 8, 16, 24, 32, 40, 48, 64, 72], again.Select(r => (int)r.Sector));
        again.ForEach(r => bed.Backend.Finish(r));
        List<(uint Tag, BlockStatus Status)> ended = bed.Ended();
        Assert.Equal(10, ended.Count);
        Assert.Equal(10, ended.DistinctBy(e => e.Tag).Count());
        Assert.All(ended, e => Assert.Equal(BlockStatus.Success, e.Status));
    }

    [Fact]
    public void A_backend_that_takes_less_gets_it_in_smaller_parts()
    {
        Bed bed = new(order: 2, maximumPieces: 128);
        uint tag = 0;
        List<byte[]> wanted = [];
        Random random = new(9);
        for (; tag < 20; tag++)
        {
            DmaSegment[] segments = [.. Enumerable.Range(0, 25).Select(_ => new DmaSegment(FakeMachine.NewPage(), 4096))];
            foreach (DmaSegment segment in segments)
            {
                random.NextBytes(PhysicalMemory.Bytes(segment.Address, 4096));
                wanted.Add(PhysicalMemory.Bytes(segment.Address, 4096).ToArray());
            }

            Assert.True(bed.Submit(BlockOperation.Write, tag * 200, tag, segments));
        }

        Assert.True(bed.Submit(BlockOperation.WriteZeroes, 20 * 200, tag++, [], 96));
        bed.Reconnect(order: 0, maximumPieces: 11);
        List<(uint Tag, BlockStatus Status)> ended = [];
        for (int i = 0; i < 100 && ended.Count < tag; i++)
        {
            bed.Backend.Process();
            ended.AddRange(bed.Ended());
            bed.Queue.Continue();
        }

        Assert.Equal(tag, (uint)ended.Count);
        Assert.All(ended, e => Assert.Equal(BlockStatus.Success, e.Status));
        Assert.Equal(wanted.SelectMany(w => w), Enumerable.Range(0, 20).SelectMany(i => bed.Disk[(i * 200 * 512)..((i * 200 + 200) * 512)]));
        Assert.True(bed.Submit(BlockOperation.Read, 0, 77, [new(FakeMachine.NewPage(), 512)]));
    }

    [Fact]
    public void Without_references_there_is_no_queue_and_none_is_kept()
    {
        _ = new FakeMachine();
        GrantAccess grants = new FakeGrants(1).Access;
        while (grants.FreeCount > 150)
        {
            Assert.True(grants.TryReserve(out _));
        }

        Assert.Null(BlockQueue.Create(grants, new FrontendHealth(FrontendKind.Block, 1), 0, FakeMachine.NewPage()));
        Assert.Equal(150, grants.FreeCount);
    }

    [Fact]
    public void Notifications_are_few()
    {
        Bed bed = new();
        ulong page = FakeMachine.NewPage();
        for (uint i = 0; i < 8; i++)
        {
            Assert.True(bed.Put(BlockOperation.Read, i, i, [new(page, 512)]));
        }

        Assert.True(bed.Queue.Publish(out _));
        Assert.False(bed.Queue.Publish(out _));
        Assert.True(bed.Put(BlockOperation.Read, 0, 9, [new(page, 512)]));
        // The backend has not looked yet.
        Assert.False(bed.Queue.Publish(out _));
        Assert.True(bed.Backend.Process());
        Assert.Equal(9, bed.Ended().Count);
    }

    /// <summary>Reads, writes, flushes, lies, closed connections and restores, in any order: every request ends once, and acknowledged data are there.</summary>
    [Property(MaxTest = 40)]
    public void Whatever_happens_every_request_ends_once(int seed)
    {
        Random random = new(seed);
        int[] limits = [11, 32, 128];
        Bed bed = new(random.Next(3), limits[random.Next(3)], random.Next(2) == 0 ? 512 : 4096);
        Dictionary<uint, (BlockOperation Operation, ulong Sector, byte[]? Data, DmaSegment[] Segments)> open = [];
        byte[] expected = new byte[bed.Disk.Length];
        List<BlkRequest> taken = [];
        HashSet<int> busy = [];
        uint tag = 0;
        for (int step = 0; step < 300; step++)
        {
            switch (random.Next(12))
            {
                case < 6:
                    SubmitOne();
                    break;
                case < 9:
                    taken.AddRange(bed.Backend.Take());
                    for (int i = random.Next(8); i > 0 && taken.Count > 0; i--)
                    {
                        int pick = random.Next(taken.Count);
                        bed.Backend.Finish(taken[pick]);
                        taken.RemoveAt(pick);
                    }

                    break;
                case 9:
                    Drain();
                    bed.Queue.Continue();
                    break;
                case 10:
                    // Executed, but the answer never comes.
                    if (random.Next(4) == 0)
                    {
                        taken.AddRange(bed.Backend.Take());
                        taken.Where(_ => random.Next(2) == 0).ToList().ForEach(r => bed.Backend.Execute(r));
                        taken.Clear();
                        bed.Reconnect(random.Next(3), limits[random.Next(3)], isRestore: random.Next(2) == 0);
                    }

                    break;
                default:
                    Drain();
                    break;
            }
        }

        for (int i = 0; i < 200 && open.Count > 0; i++)
        {
            taken.AddRange(bed.Backend.Take());
            taken.ForEach(r => bed.Backend.Finish(r));
            taken.Clear();
            Drain();
            bed.Queue.Continue();
        }

        Assert.Empty(open);
        Assert.True(bed.Queue.IsIdle);
        Assert.False(bed.Health.IsBroken);
        Assert.Equal(expected, bed.Disk);
        Assert.Equal(bed.IdleGrants, bed.Grants.Granted);

        void SubmitOne()
        {
            int blockSectors = bed.BlockSize / 512;
            int place = random.Next(DiskSectors / 512);
            if (!busy.Add(place))
            {
                return;
            }

            ulong sector = (ulong)place * 512;
            BlockOperation operation = random.Next(6) switch
            {
                0 => BlockOperation.Flush,
                1 => BlockOperation.WriteZeroes,
                2 or 3 => BlockOperation.Read,
                _ => BlockOperation.Write,
            };
            List<DmaSegment> segments = [];
            ulong count = 0;
            byte[]? data = null;
            if (operation is BlockOperation.Read or BlockOperation.Write)
            {
                segments = bed.RandomSegments(random, blockSectors);
                data = new byte[segments.Sum(s => (int)s.Length)];
                random.NextBytes(data);
                if (operation == BlockOperation.Write)
                {
                    bed.Fill(segments, data);
                }
                else
                {
                    data = expected.AsSpan((int)sector * 512, data.Length).ToArray();
                }
            }
            else if (operation == BlockOperation.WriteZeroes)
            {
                count = (ulong)(random.Next(1, 11) * 8);
            }

            if (!bed.Submit(operation, sector, tag, [.. segments], count))
            {
                busy.Remove(place);
                return;
            }

            open.Add(tag++, (operation, sector, operation == BlockOperation.WriteZeroes ? new byte[count * 512] : data, [.. segments]));
        }

        void Drain()
        {
            foreach ((uint ended, BlockStatus status) in bed.Ended())
            {
                Assert.True(open.Remove(ended, out (BlockOperation Operation, ulong Sector, byte[]? Data, DmaSegment[] Segments) request), "ended twice");
                Assert.Equal(BlockStatus.Success, status);
                busy.Remove((int)(request.Sector / 512));
                if (request.Operation == BlockOperation.Read)
                {
                    Assert.Equal(request.Data, request.Segments.SelectMany(s => PhysicalMemory.Bytes(s.Address, (int)s.Length).ToArray()));
                }
                else if (request.Operation != BlockOperation.Flush)
                {
                    request.Data!.CopyTo(expected, (int)request.Sector * 512);
                }
            }
        }
    }

    /// <summary>A queue, its backend and a disk.</summary>
    private sealed class Bed
    {
        private readonly ulong _zeroFrame;
        private uint _zeroReference;

        public Bed(int order = 2, int maximumPieces = 11, int blockSize = 512)
        {
            _ = new FakeMachine(8192);
            Grants = new FakeGrants();
            BlockSize = blockSize;
            Assert.True(FrameAllocator.TryAllocateZeroed(out _zeroFrame));
            Assert.True(Grants.Access.TryReserve(out _zeroReference));
            int memoryOrder = 0;
            while (4096ul << memoryOrder < BlockQueue.MemorySize)
            {
                memoryOrder++;
            }

            Assert.True(FrameAllocator.TryAllocate(memoryOrder, ulong.MaxValue, out ulong memory));
            Queue = BlockQueue.Create(Grants.Access, Health, 0, memory << 12)!;
            Connect(order, maximumPieces);
        }

        public FakeGrants Grants { get; }

        public FrontendHealth Health { get; } = new(FrontendKind.Block, 51712);

        public BlockQueue Queue { get; }

        public FakeBlkback Backend { get; private set; } = null!;

        public byte[] Disk { get; } = new byte[DiskSectors * 512];

        public int BlockSize { get; }

        /// <summary>Grants of a connection without requests.</summary>
        public int IdleGrants { get; private set; }

        public bool Put(BlockOperation operation, ulong sector, uint tag, DmaSegment[] segments, ulong count = 0)
        {
            BlkifOperation wire = operation switch
            {
                BlockOperation.Read => BlkifOperation.Read,
                BlockOperation.Flush => BlkifOperation.FlushDiskCache,
                BlockOperation.Discard => BlkifOperation.Discard,
                _ => BlkifOperation.Write,
            };
            return Queue.TrySubmit(wire, new BlockRequest { Operation = operation, Sector = sector, Tag = tag, SectorCount = count }, segments);
        }

        public bool Submit(BlockOperation operation, ulong sector, uint tag, DmaSegment[] segments, ulong count = 0)
        {
            bool isTaken = Put(operation, sector, tag, segments, count);
            Queue.Publish(out _);
            return isTaken;
        }

        public List<(uint Tag, BlockStatus Status)> Ended()
        {
            List<(uint, BlockStatus)> ended = [];
            while (Queue.TryTakeCompletion(out uint tag, out BlockStatus status))
            {
                ended.Add((tag, status));
            }

            return ended;
        }

        public void Reconnect(int order = 2, int maximumPieces = 11, bool isRestore = false)
        {
            Queue.Disconnect();
            if (isRestore)
            {
                Grants.Lose();
            }
            else
            {
                Backend.Close();
                Grants.Access.TryRevoke(_zeroReference);
            }

            Connect(order, maximumPieces);
        }

        public List<DmaSegment> RandomSegments(Random random, int blockSectors)
        {
            int sectors = random.Next(1, 20) * blockSectors;
            List<DmaSegment> segments = [];
            while (sectors > 0)
            {
                int first = random.Next(8);
                int count = Math.Min(random.Next(1, 9 - first), sectors);
                segments.Add(new DmaSegment(FakeMachine.NewPage() + (ulong)first * 512, (uint)count * 512));
                sectors -= count;
            }

            return segments;
        }

        public void Fill(List<DmaSegment> segments, byte[] data)
        {
            int done = 0;
            foreach (DmaSegment segment in segments)
            {
                data.AsSpan(done, (int)segment.Length).CopyTo(PhysicalMemory.Bytes(segment.Address, (int)segment.Length));
                done += (int)segment.Length;
            }
        }

        private void Connect(int order, int maximumPieces)
        {
            Grants.Access.Grant(_zeroReference, FakeBlkback.Domain, _zeroFrame, true);
            Assert.True(Queue.TryPrepare(FakeBlkback.Domain, order));
            IdleGrants = Grants.Granted;
            Backend = new FakeBlkback(Grants, [.. Enumerable.Range(0, 1 << order).Select(Queue.RingReference)], Disk)
            {
                MaximumSegments = Math.Max(maximumPieces, 11),
                LogicalBlockSize = (uint)BlockSize,
            };
            Queue.Connect(51712, maximumPieces, (uint)BlockSize / 512, _zeroReference);
        }
    }
}
