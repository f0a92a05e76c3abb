using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests;

public sealed class BlockTests
{
    private const ulong AllFeatures = FakeBlockDevice.SizeMaximum | FakeBlockDevice.SegmentMaximum | FakeBlockDevice.BlockSize
        | FakeBlockDevice.Flush | FakeBlockDevice.Topology | FakeBlockDevice.MultiQueue | FakeBlockDevice.Discard
        | FakeBlockDevice.WriteZeroes;

    private static readonly FakeVirtioOptions s_modern = new FakeVirtioOptions().With(AllFeatures);
    private static readonly FakeVirtioOptions s_legacy = s_modern with { IsLegacy = true, QueueSize = 128 };

    private readonly FakeMachine _machine = new();

    public static TheoryData<FakeVirtioOptions> Kinds => new()
    {
        s_modern,
        s_modern with { Features = FakeVirtioOptions.Version1 | FakeBlockDevice.SegmentMaximum },
        s_modern with { Features = FakeVirtioOptions.Version1 | FakeVirtioOptions.EventIndex | FakeBlockDevice.SegmentMaximum },
        s_modern with { Features = FakeVirtioOptions.Version1 | FakeVirtioOptions.Indirect | FakeBlockDevice.SegmentMaximum },
        s_modern with { Vectors = 1 },
        s_modern with { Vectors = 0, HasMsi = true },
        s_modern with { Vectors = 0 },
        s_modern with { QueueSize = 8 },
        s_legacy,
        s_legacy with { Vectors = 0 },
        s_legacy with { Features = FakeBlockDevice.SegmentMaximum },
    };

    private (FakeBlockDevice Device, BlockDevice Disk, RecordingBlockClient Client) Start(
        FakeVirtioOptions options, Action<FakeBlockDevice>? prepare = null, int queues = 1)
    {
        FakeBlockDevice device = new(_machine, options, queues: queues);
        prepare?.Invoke(device);
        _machine.Probe();
        Assert.True(_machine.Found.DiskCount == 1, _machine.LogText.Text);
        BlockDevice disk = _machine.Found.Disk(0);
        RecordingBlockClient client = new();
        disk.Client = client;
        _machine.Interrupts.Deliver();
        return (device, disk, client);
    }

    private static BlockRequest Request(BlockOperation operation, ulong sector, uint tag, ulong count = 0) =>
        new() { Operation = operation, Sector = sector, Tag = tag, SectorCount = count };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void WritesAndReadsBack(FakeVirtioOptions options)
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(options);
        ulong source = FakeMachine.NewPage();
        ulong target = FakeMachine.NewPage();
        new Random(1).NextBytes(PhysicalMemory.Bytes(source, 4096));

        DmaSegment[] pieces = [new(source + 1024, 512), new(source, 1024), new(source + 2048, 2048)];
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Write, 10, 7), pieces));
        Assert.Empty(device.Queues[0].Taken);
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal([(7u, BlockStatus.Success)], client.Ended);
        Assert.Equal(PhysicalMemory.Bytes(source + 1024, 512).ToArray(), device.Contents[5120..5632]);

        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Read, 10, 8), [new(target, 3584)]));
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal((8u, BlockStatus.Success), client.Ended[1]);
        Assert.Equal(device.Contents[5120..8704], PhysicalMemory.Bytes(target, 3584).ToArray());
        Assert.Equal(2, client.Ends);
        Assert.Equal("disk-0", Encoding.ASCII.GetString(disk.Serial));
        Assert.Equal(0, device.Function.BarWritesWhileDecoding);
        Assert.Contains("virtio block, ", _machine.LogText.Text);
    }

    [Fact]
    public void ReportsGeometry()
    {
        (_, BlockDevice disk, _) = Start(s_modern, d =>
        {
            d.SetConfiguration32(8, 8192);
            d.SetConfiguration32(12, 40);
            d.SetConfiguration32(20, 1024);
            d.Configuration[24] = 2;
        });
        BlockGeometry geometry = disk.Geometry;
        Assert.Equal(2048ul, geometry.Sectors);
        Assert.Equal(1024u, geometry.LogicalBlockSize);
        Assert.Equal(4096u, geometry.PhysicalBlockSize);
        Assert.Equal(40u, geometry.MaximumSegments);
        Assert.Equal(8192u, geometry.MaximumSegmentSize);
        Assert.False(geometry.IsReadOnly);
        Assert.True(geometry.HasFlush && geometry.HasDiscard && geometry.HasWriteZeroes);
        Assert.Equal(1024u, geometry.MaximumDiscardSectors);
        Assert.Equal(8u, geometry.DiscardGranularitySectors);
        Assert.Equal(512u, geometry.MaximumWriteZeroesSectors);
    }

    [Fact]
    public void SegmentsAreLimitedByTheQueueWithoutIndirectDescriptors()
    {
        (_, BlockDevice disk, RecordingBlockClient client) = Start(
            s_modern with { Features = FakeVirtioOptions.Version1 | FakeBlockDevice.SegmentMaximum, QueueSize = 16 });
        Assert.Equal(14u, disk.Geometry.MaximumSegments);
        ulong page = FakeMachine.NewPage();
        DmaSegment[] segments = [.. Enumerable.Range(0, 14).Select(i => new DmaSegment(page, 512))];
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Write, 0, 1), segments));
        Assert.False(disk.TrySubmit(0, Request(BlockOperation.Write, 0, 2), segments));
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal([(1u, BlockStatus.Success)], client.Ended);
        Assert.Equal(1, client.Rooms);
    }

    [Fact]
    public void OneSegmentWhenTheDeviceStatesNoLimit()
    {
        (_, BlockDevice disk, _) = Start(new FakeVirtioOptions());
        Assert.Equal(1u, disk.Geometry.MaximumSegments);
        Assert.False(disk.Geometry.HasFlush);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void FlushesDiscardsAndWritesZeroes(FakeVirtioOptions options)
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(options);
        bool hasThem = (options.Features & FakeBlockDevice.Flush) != 0;
        Array.Fill(device.Contents, (byte)0xaa);
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Flush, 0, 1), []));
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Discard, 16, 2, 8), []));
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.WriteZeroes, 32, 3, 4), []));
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        BlockStatus expected = hasThem ? BlockStatus.Success : BlockStatus.Unsupported;
        Assert.Equal([(1u, expected), (2u, expected), (3u, expected)], client.Ended);
        if (hasThem)
        {
            Assert.Equal(1, device.Flushes);
            Assert.Equal([(16ul, 8u, 0u), (32ul, 4u, 1u)], device.Discards);
        }
    }

    [Fact]
    public void RequestsThatCannotBeRightNeverReachTheDevice()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern, d => d.SetConfiguration32(20, 1024));
        device.IsAutomatic = false;
        ulong page = FakeMachine.NewPage();
        DmaSegment[] tooMany = new DmaSegment[(int)disk.Geometry.MaximumSegments + 1];
        Array.Fill(tooMany, new DmaSegment(page, 1024));
        (BlockRequest Request, DmaSegment[] Segments)[] wrong =
        [
            (Request(BlockOperation.Read, 2048, 0), [new(page, 1024)]),
            (Request(BlockOperation.Read, ulong.MaxValue - 1, 1), [new(page, 1024)]),
            (Request(BlockOperation.Read, 1, 2), [new(page, 1024)]),
            (Request(BlockOperation.Write, 0, 3), [new(page, 512)]),
            (Request(BlockOperation.Write, 0, 4), []),
            (Request(BlockOperation.Write, 0, 5), [new(page, 0), new(page, 1024)]),
            (Request(BlockOperation.Write, 0, 6), [new(page, 131072)]),
            (Request(BlockOperation.Write, 0, 7), tooMany),
            (Request(BlockOperation.Discard, 0, 8, 2048), []),
            (Request(BlockOperation.Discard, 0, 9, 0), []),
            (Request(BlockOperation.Flush, 0, 10), [new(page, 512)]),
        ];
        foreach ((BlockRequest request, DmaSegment[] segments) in wrong)
        {
            Assert.True(disk.TrySubmit(0, in request, segments));
        }

        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal(wrong.Select(w => (w.Request.Tag, BlockStatus.Error)), client.Ended);
        Assert.False(device.Queues[0].TryPop(out _));
    }

    [Fact]
    public void WritesToReadOnlyDisksFail()
    {
        (_, BlockDevice disk, RecordingBlockClient client) = Start(s_modern.With(FakeBlockDevice.ReadOnly));
        Assert.True(disk.Geometry.IsReadOnly);
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Write, 0, 1), [new(FakeMachine.NewPage(), 512)]));
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Discard, 0, 2, 8), []));
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal([(1u, BlockStatus.Error), (2u, BlockStatus.Error)], client.Ended);
    }

    [Theory]
    [InlineData(1, BlockStatus.Error)]
    [InlineData(2, BlockStatus.Unsupported)]
    [InlineData(77, BlockStatus.Error)]
    public void StatusBytesAreTranslated(byte status, BlockStatus expected)
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.ForcedStatus = status;
        Read(disk, 1);
        Assert.Equal([(1u, expected)], client.Ended);
    }

    [Fact]
    public void AStatusThatIsNotWrittenIsAnError()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.ForgetsStatus = true;
        Read(disk, 1);
        Assert.Equal([(1u, BlockStatus.Error)], client.Ended);
    }

    [Fact]
    public void ALengthBeyondTheBuffersFailsTheRequestAlone()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.ForcedLength = 514;
        Read(disk, 1);
        device.ForcedLength = null;
        Read(disk, 2);
        Assert.Equal([(1u, BlockStatus.Error), (2u, BlockStatus.Success)], client.Ended);
        Assert.Equal(1, device.Resets);
        Assert.Contains("length", _machine.LogText.Text);
    }

    [Fact]
    public void LegacyLengthsAreNotBelieved()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_legacy);
        device.ForcedLength = 100_000;
        Read(disk, 1);
        Assert.Equal([(1u, BlockStatus.Success)], client.Ended);
    }

    [Fact]
    public void ResizeIsReported()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.SetConfiguration64(0, 1_000_000_000_000);
        device.ConfigurationChanged();
        _machine.Interrupts.Deliver();
        Assert.Equal(1, client.Changes);
        Assert.Equal(1_000_000_000_000ul, disk.Geometry.Sectors);
        device.ConfigurationChanged();
        _machine.Interrupts.Deliver();
        Assert.Equal(1, client.Changes);
    }

    [Fact]
    public void EachCpuGetsItsQueue()
    {
        _machine.Interrupts.Cpus = 4;
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern, queues: 8);
        Assert.Equal(4, disk.QueueCount);
        Assert.Equal([1, 2, 3, 4], device.Queues.Take(4).Select(q => (int)q.Vector));
        ulong page = FakeMachine.NewPage();
        for (int queue = 0; queue < 4; queue++)
        {
            Assert.True(disk.TrySubmit(queue, Request(BlockOperation.Read, 0, (uint)queue), [new(page, 512)]));
            disk.Kick(queue);
        }

        _machine.Interrupts.Deliver();
        Assert.Equal(4, client.Ended.Count);
        Assert.All(device.Queues.Take(4), q => Assert.True(q.Notifications > 0));
    }

    [Fact]
    public void QueuesShareVectorsWhenThereAreFew()
    {
        _machine.Interrupts.Cpus = 4;
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern with { Vectors = 3 }, queues: 4);
        Assert.Equal([1, 2, 1, 2], device.Queues.Select(q => (int)q.Vector));
        ulong page = FakeMachine.NewPage();
        for (int queue = 0; queue < 4; queue++)
        {
            Assert.True(disk.TrySubmit(queue, Request(BlockOperation.Read, 0, (uint)queue), [new(page, 512)]));
            disk.Kick(queue);
        }

        _machine.Interrupts.Deliver();
        Assert.Equal(4, client.Ended.Count);
    }

    [Fact]
    public void AFullQueueRefusesAndTellsWhenThereIsRoom()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.IsAutomatic = false;
        ulong page = FakeMachine.NewPage();
        uint tag = 0;
        while (disk.TrySubmit(0, Request(BlockOperation.Read, 0, tag), [new(page, 512), new(page, 512)]))
        {
            tag++;
        }

        Assert.Equal(128u, tag);
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal(0, client.Rooms);
        device.Process(0);
        _machine.Interrupts.Deliver();
        Assert.Equal(1, client.Rooms);
        Assert.Equal(128, client.Ended.Count);
    }

    [Fact]
    public void ADeviceThatPollsIsNotNotified()
    {
        (FakeBlockDevice device, BlockDevice disk, _) = Start(s_modern with { Features = FakeVirtioOptions.Version1 });
        device.IsAutomatic = false;
        int before = device.Queues[0].Notifications;
        device.Queues[0].SetNoNotify(true);
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Read, 0, 1), [new(FakeMachine.NewPage(), 512)]));
        disk.Kick(0);
        Assert.Equal(before, device.Queues[0].Notifications);
        Assert.True(device.Queues[0].TryPop(out _));
    }

    [Fact]
    public void OneNotificationForManyRequests()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        int before = device.Queues[0].Notifications;
        int raised = _machine.Interrupts.Raised;
        ulong page = FakeMachine.NewPage();
        for (uint i = 0; i < 32; i++)
        {
            Assert.True(disk.TrySubmit(0, Request(BlockOperation.Read, i, i), [new(page, 512)]));
        }

        disk.Kick(0);
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal(before + 1, device.Queues[0].Notifications);
        // The event index asks for one interrupt; those that follow before it is served are not raised.
        Assert.Equal(raised + 1, _machine.Interrupts.Raised);
        Assert.Equal(32, client.Ended.Count);
        Assert.Equal(1, client.Ends);
    }

    [Fact]
    public void ADiskWithoutAnIdHasAnEmptySerial()
    {
        (_, BlockDevice disk, _) = Start(s_modern, d => d.RefusesId = true);
        Assert.Equal(0, disk.Serial.Length);
    }

    [Fact]
    public void AnIdMayTakeAllTwentyBytes()
    {
        (_, BlockDevice disk, _) = Start(s_modern, d => d.Id = "abcdefghijklmnopqrst");
        Assert.Equal("abcdefghijklmnopqrst", Encoding.ASCII.GetString(disk.Serial));
    }

    [Fact]
    public void ADiskThatDoesNotAnswerTheIdRequestIsUsedNevertheless()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern, d => d.IsAutomatic = false);
        Assert.Equal(0, disk.Serial.Length);
        device.Process(0);
        _machine.Interrupts.Deliver();
        Assert.Empty(client.Ended);
        device.IsAutomatic = true;
        Read(disk, 5);
        Assert.Equal([(5u, BlockStatus.Success)], client.Ended);
    }

    [Property(MaxTest = 25)]
    public void EveryRequestEndsOnceInWhateverOrder(int seed)
    {
        FakeMachine machine = new(512);
        Random random = new(seed);
        FakeVirtioOptions options = random.Next(4) switch
        {
            0 => s_modern,
            1 => s_modern with { Features = FakeVirtioOptions.Version1 | FakeBlockDevice.SegmentMaximum, QueueSize = 32 },
            2 => s_legacy with { QueueSize = 64 },
            _ => s_modern with { Features = FakeVirtioOptions.Version1 | FakeVirtioOptions.EventIndex | FakeBlockDevice.SegmentMaximum },
        };
        FakeBlockDevice device = new(machine, options);
        machine.Probe();
        BlockDevice disk = machine.Found.Disk(0);
        RecordingBlockClient client = new();
        disk.Client = client;
        device.IsAutomatic = false;
        ulong page = FakeMachine.NewPage();
        HashSet<uint> open = [];
        List<FakeChain> taken = [];
        uint tag = 0;

        for (int step = 0; step < 600; step++)
        {
            int action = random.Next(10);
            if (action < 5)
            {
                DmaSegment[] segments = new DmaSegment[random.Next(1, 12)];
                Array.Fill(segments, new DmaSegment(page, 512));
                if (disk.TrySubmit(0, Request(random.Next(2) == 0 ? BlockOperation.Read : BlockOperation.Write, 0, tag), segments))
                {
                    open.Add(tag++);
                }
            }
            else if (action < 7)
            {
                disk.Kick(0);
            }
            else
            {
                while (device.Queues[0].TryPop(out FakeChain? chain))
                {
                    taken.Add(chain!);
                }

                for (int i = random.Next(6); i > 0 && taken.Count > 0; i--)
                {
                    int pick = random.Next(taken.Count);
                    FakeChain chain = taken[pick];
                    taken.RemoveAt(pick);
                    device.Finish(0, chain);
                }

                if (action == 9)
                {
                    Drain();
                }
            }
        }

        disk.Kick(0);
        while (device.Queues[0].TryPop(out FakeChain? chain))
        {
            taken.Add(chain!);
        }

        taken.ForEach(c => device.Finish(0, c));
        Drain();
        Assert.Empty(open);

        // Nothing leaked: as many fit as at the start.
        int room = 0;
        while (disk.TrySubmit(0, Request(BlockOperation.Read, 0, 0), [new(page, 512)]))
        {
            room++;
        }

        bool isIndirect = (options.Features & FakeVirtioOptions.Indirect) != 0;
        Assert.Equal(Math.Min(128, (int)options.QueueSize) / (isIndirect ? 1 : 3), room);

        void Drain()
        {
            machine.Interrupts.Deliver();
            foreach ((uint ended, BlockStatus status) in client.Ended)
            {
                Assert.Equal(BlockStatus.Success, status);
                Assert.True(open.Remove(ended), "a request ended twice");
            }

            client.Ended.Clear();
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void IndexesWrapAround(FakeVirtioOptions options)
    {
        (_, BlockDevice disk, RecordingBlockClient client) = Start(options);
        ulong page = FakeMachine.NewPage();
        DmaSegment[] segments = [new(page, 512)];
        uint done = 0;
        while (done < 70_000)
        {
            for (int i = 0; i < 2; i++)
            {
                Assert.True(disk.TrySubmit(0, Request(BlockOperation.Read, 3, done++), segments));
            }

            disk.Kick(0);
            _machine.Interrupts.Deliver();
        }

        Assert.Equal(70_000, client.Ended.Count);
        Assert.All(client.Ended, e => Assert.Equal(BlockStatus.Success, e.Status));
        Assert.Equal(Enumerable.Range(0, 70_000).Select(i => (uint)i), client.Ended.Select(e => e.Tag));
    }

    [Fact]
    public void AQueueThatIsNeverIdleLetsOthersRun()
    {
        (_, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        ulong page = FakeMachine.NewPage();
        uint next = 0;
        client.OnCompleted = () =>
        {
            if (next < 2000)
            {
                Assert.True(disk.TrySubmit(0, Request(BlockOperation.Read, 0, next++), [new(page, 512)]));
                disk.Kick(0);
            }
        };
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Read, 0, next++), [new(page, 512)]));
        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal(2000, client.Ended.Count);
        // 256 completions a turn.
        Assert.Equal(8, client.Ends);
    }

    private void Read(BlockDevice disk, uint tag)
    {
        Assert.True(disk.TrySubmit(0, Request(BlockOperation.Read, 0, tag), [new(FakeMachine.NewPage(), 512)]));
        disk.Kick(0);
        _machine.Interrupts.Deliver();
    }
}
