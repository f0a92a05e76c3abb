using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Drivers.Pci;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests;

/// <summary>Devices that lie, break their rings, ask for resets or do not come back.</summary>
public sealed class MisbehaviourTests
{
    private static readonly FakeVirtioOptions s_modern = new FakeVirtioOptions().With(
        FakeBlockDevice.SegmentMaximum | FakeBlockDevice.Flush);

    private static readonly FakeVirtioOptions s_legacy = s_modern with { IsLegacy = true };

    private readonly FakeMachine _machine = new();

    public static TheoryData<string, bool> Lies
    {
        get
        {
            TheoryData<string, bool> lies = [];
            foreach (string lie in new[] { "jump", "backwards", "range", "huge", "idle", "twice", "unpublished" })
            {
                lies.Add(lie, false);
                lies.Add(lie, true);
            }

            return lies;
        }
    }

    private (FakeBlockDevice Device, BlockDevice Disk, RecordingBlockClient Client) Start(FakeVirtioOptions options)
    {
        FakeBlockDevice device = new(_machine, options);
        _machine.Probe();
        BlockDevice disk = _machine.Found.Disk(0);
        RecordingBlockClient client = new();
        disk.Client = client;
        _machine.Interrupts.Deliver();
        device.IsAutomatic = false;
        return (device, disk, client);
    }

    private static void Submit(BlockDevice disk, uint first, int count, ulong page)
    {
        for (uint i = 0; i < count; i++)
        {
            BlockRequest request = new() { Operation = BlockOperation.Read, Sector = i, Tag = first + i };
            Assert.True(disk.TrySubmit(0, in request, [new DmaSegment(page, 512), new DmaSegment(page, 512)]));
        }

        disk.Kick(0);
    }

    private static void Lie(FakeBlockDevice device, string lie)
    {
        FakeVirtioQueue queue = device.Queues[0];
        List<FakeChain> taken = [];
        while (queue.TryPop(out FakeChain? chain))
        {
            taken.Add(chain!);
        }

        switch (lie)
        {
            case "jump":
                queue.Expose(1000);
                break;
            case "backwards":
                queue.Expose(unchecked((ushort)-1));
                break;
            case "range":
                queue.PushRaw(queue.Size, 1);
                break;
            case "huge":
                queue.PushRaw(0xffff0000 | taken[0].Head, 1);
                break;
            case "idle":
                HashSet<ushort> busy = [.. taken.Select(c => c.Head)];
                queue.PushRaw((uint)Enumerable.Range(0, queue.Size).First(i => !busy.Contains((ushort)i)), 1);
                break;
            case "twice":
                queue.PushRaw(taken[0].Head, 1);
                queue.PushRaw(taken[0].Head, 1);
                break;
            case "unpublished":
                for (int i = 0; i <= taken.Count; i++)
                {
                    queue.PushElement(taken[0].Head, 1, i);
                }

                queue.Expose((ushort)(taken.Count + 1));
                break;
        }

        device.InterruptQueue(0);
    }

    [Theory]
    [MemberData(nameof(Lies))]
    public void ABrokenRingEndsInOneResetAndErrors(string lie, bool isLegacy)
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(isLegacy ? s_legacy : s_modern);
        ulong page = FakeMachine.NewPage();
        int resets = device.Resets;
        Submit(disk, 0, 5, page);
        Lie(device, lie);
        _machine.Interrupts.Deliver();

        // All five ended; at most the one that was given back before the lie may have another status.
        Assert.Equal([0u, 1u, 2u, 3u, 4u], client.Ended.Select(e => e.Tag).Order());
        Assert.True(client.Ended.Count(e => e.Status == BlockStatus.Error) >= 4);
        Assert.Equal(resets + 1, device.Resets);
        Assert.True(device.IsRunning);
        Assert.Contains("was reset", _machine.LogText.Text);

        client.Ended.Clear();
        device.IsAutomatic = true;
        Submit(disk, 100, 3, page);
        _machine.Interrupts.Deliver();
        Assert.Equal([(100u, BlockStatus.Success), (101u, BlockStatus.Success), (102u, BlockStatus.Success)], client.Ended);
    }

    [Fact]
    public void MemoryIsNotGivenBackBeforeTheReset()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.IgnoresReset = true;
        Submit(disk, 0, 2, FakeMachine.NewPage());
        Assert.NotEqual(0, device.Function.Command & PciCommand.BusMaster);
        Lie(device, "jump");
        _machine.Interrupts.Deliver();

        // The reset does not end: the last resort takes the bus away, then the requests end.
        Assert.Equal(0, device.Function.Command & PciCommand.BusMaster);
        Assert.Equal([(0u, BlockStatus.Error), (1u, BlockStatus.Error)], client.Ended);
        Assert.Contains("has failed", _machine.LogText.Text);
    }

    [Fact]
    public void RequestsToAFailedDeviceEndInErrors()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.IgnoresReset = true;
        Lie(device, "jump");
        _machine.Interrupts.Deliver();
        Assert.Empty(client.Ended);

        ulong page = FakeMachine.NewPage();
        int refused = 0;
        for (uint i = 0; i < 1000; i++)
        {
            BlockRequest request = new() { Operation = BlockOperation.Read, Tag = i };
            refused += disk.TrySubmit(0, in request, [new DmaSegment(page, 512)]) ? 0 : 1;
            if (i % 50 == 49)
            {
                disk.Kick(0);
                _machine.Interrupts.Deliver();
            }
        }

        Assert.Equal(0, refused);
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => ((uint)i, BlockStatus.Error)), client.Ended);
    }

    [Fact]
    public void AFailedDeviceRefusesWhatIsNeverCollected()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.IgnoresReset = true;
        Lie(device, "jump");
        _machine.Interrupts.Deliver();
        uint tag = 0;
        BlockRequest request = new() { Operation = BlockOperation.Flush };
        while (disk.TrySubmit(0, in request, []))
        {
            Assert.True(++tag < 1000);
        }

        disk.Kick(0);
        _machine.Interrupts.Deliver();
        Assert.Equal((int)tag, client.Ended.Count);
        Assert.Equal(1, client.Rooms);
    }

    [Fact]
    public void ADeviceThatBreaksAgainAndAgainIsGivenUp()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        ulong page = FakeMachine.NewPage();
        for (uint round = 0; round < 10; round++)
        {
            Submit(disk, round * 4, 4, page);
            if (device.IsRunning)
            {
                Lie(device, "jump");
            }

            _machine.Interrupts.Deliver();
        }

        Assert.Equal(40, client.Ended.Count);
        Assert.All(client.Ended, e => Assert.Equal(BlockStatus.Error, e.Status));
        Assert.False(device.IsRunning);
        // One at the start, three that are forgiven, and the one that takes it out of use (and once more to leave it reset).
        Assert.InRange(device.Resets, 5, 6);
        Assert.True(_machine.LogText.Lines < 20);
    }

    [Fact]
    public void WorkBetweenFaultsRedeems()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        ulong page = FakeMachine.NewPage();
        for (int round = 0; round < 10; round++)
        {
            device.IsAutomatic = true;
            for (int i = 0; i < 20; i++)
            {
                Submit(disk, 0, 64, page);
                _machine.Interrupts.Deliver();
            }

            device.IsAutomatic = false;
            Submit(disk, 0, 1, page);
            Lie(device, "range");
            _machine.Interrupts.Deliver();
            Assert.True(device.IsRunning);
        }

        Assert.Equal(10, client.Ended.Count(e => e.Status == BlockStatus.Error));
    }

    [Fact]
    public void NeedsResetIsObeyed()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        Submit(disk, 0, 3, FakeMachine.NewPage());
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.Equal(3, client.Ended.Count(e => e.Status == BlockStatus.Error));
        Assert.True(device.IsRunning);
        Assert.Equal(0, device.Status & 64);
        Assert.Contains("asks for a reset", _machine.LogText.Text);
    }

    [Fact]
    public void ADeviceThatIsGoneFailsItsRequests()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        ulong page = FakeMachine.NewPage();
        Submit(disk, 0, 3, page);
        device.IsGone = true;
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Submit(disk, 3, 2, page);
        _machine.Interrupts.Deliver();
        Assert.Equal([0u, 1u, 2u, 3u, 4u], client.Ended.Select(e => e.Tag).Order());
        Assert.All(client.Ended, e => Assert.Equal(BlockStatus.Error, e.Status));
    }

    [Fact]
    public void ADeviceThatComesBackWithOtherFeaturesIsNotUsed()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.DeviceFeatures &= ~FakeBlockDevice.Flush;
        Submit(disk, 0, 1, FakeMachine.NewPage());
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.False(device.IsRunning);
        Assert.Equal([(0u, BlockStatus.Error)], client.Ended);
    }

    [Fact]
    public void AResetTellsOfAResizeThatHappenedMeanwhile()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        device.SetConfiguration64(0, 4096);
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.Equal(4096ul, disk.Geometry.Sectors);
        Assert.Equal(1, client.Changes);
    }

    [Fact]
    public void ARefusedRequestIsRetriedAfterTheReset()
    {
        (FakeBlockDevice device, BlockDevice disk, RecordingBlockClient client) = Start(s_modern);
        ulong page = FakeMachine.NewPage();
        Submit(disk, 0, 128, page);
        BlockRequest late = new() { Operation = BlockOperation.Read, Tag = 1000 };
        Assert.False(disk.TrySubmit(0, in late, [new DmaSegment(page, 512)]));
        bool done = false;
        client.OnRoom = _ =>
        {
            done = disk.TrySubmit(0, in late, [new DmaSegment(page, 512)]);
            device.IsAutomatic = true;
            disk.Kick(0);
        };
        device.AskForReset();
        _machine.Interrupts.Deliver();
        Assert.True(done);
        Assert.Equal((1000u, BlockStatus.Success), client.Ended[^1]);
        Assert.Equal(129, client.Ended.Count);
    }

    [Fact]
    public void ALyingDeviceCannotFillTheLog()
    {
        (FakeBlockDevice device, BlockDevice disk, _) = Start(s_modern);
        int before = _machine.LogText.Lines;
        device.IsAutomatic = true;
        device.ForcedLength = 1 << 30;
        for (int i = 0; i < 1000; i++)
        {
            Submit(disk, 0, 1, FakeMachine.NewPage());
            _machine.Interrupts.Deliver();
        }

        Assert.InRange(_machine.LogText.Lines - before, 4, 16);
    }

    [Theory]
    [InlineData("features")]
    [InlineData("version")]
    [InlineData("reset")]
    [InlineData("vectors")]
    [InlineData("interrupts")]
    [InlineData("queue")]
    public void UnusableDevicesAreLeftAlone(string reason)
    {
        ulong free = FrameAllocator.FreeFrames;
        FakeVirtioOptions options = reason switch
        {
            "version" => s_modern with { Features = FakeBlockDevice.Flush },
            "interrupts" => s_modern with { Vectors = 0 },
            "queue" => s_modern with { QueueSize = 0 },
            _ => s_modern,
        };
        FakeBlockDevice device = new(_machine, options)
        {
            RefusesFeatures = reason == "features",
            IgnoresReset = reason == "reset",
            RefusesVectors = reason == "vectors",
        };
        _machine.Interrupts.HasLines = reason != "interrupts";
        if (reason == "reset")
        {
            // Somebody left it running.
            device.Function.Set16(PciRegister.Command, 0);
            device.LeaveRunning();
        }

        _machine.Probe();
        Assert.Equal(0, _machine.Found.DiskCount);
        Assert.Equal(0, device.Status & 4 & (reason == "reset" ? 0 : 0xff));
        Assert.Equal(free, FrameAllocator.FreeFrames);
        Assert.Contains("left alone", _machine.LogText.Text);
    }

    [Property(MaxTest = 60)]
    public void WhateverTheRingHoldsNothingIsLostOrReportedTwice(int seed)
    {
        FakeMachine machine = new(512);
        Random random = new(seed);
        FakeBlockDevice device = new(machine, random.Next(3) == 0 ? s_legacy : s_modern);
        machine.Probe();
        BlockDevice disk = machine.Found.Disk(0);
        RecordingBlockClient client = new();
        disk.Client = client;
        device.IsAutomatic = false;
        ulong page = FakeMachine.NewPage();
        HashSet<uint> open = [];
        uint tag = 0;
        for (int step = 0; step < 200; step++)
        {
            for (int i = random.Next(8); i > 0; i--)
            {
                BlockRequest request = new() { Operation = BlockOperation.Read, Tag = tag };
                if (disk.TrySubmit(0, in request, [new DmaSegment(page, 512)]))
                {
                    open.Add(tag++);
                }
            }

            disk.Kick(0);
            if (device.IsRunning)
            {
                Misbehave(device, random);
            }

            machine.Interrupts.Deliver();
            foreach ((uint ended, _) in client.Ended)
            {
                Assert.True(open.Remove(ended), "a request ended twice");
            }

            client.Ended.Clear();
        }

        device.AskForReset();
        machine.Interrupts.Deliver();
        foreach ((uint ended, _) in client.Ended)
        {
            Assert.True(open.Remove(ended));
        }

        Assert.Empty(open);
    }

    private static void Misbehave(FakeBlockDevice device, Random random)
    {
        FakeVirtioQueue queue = device.Queues[0];
        switch (random.Next(12))
        {
            case 0:
                queue.PushRaw((uint)random.Next(0, 300), (uint)random.Next());
                break;
            case 1:
                queue.Expose((ushort)random.Next(0, 4));
                break;
            case 2:
                // Scribble over the driver's rings: only the device believes what is there.
                random.NextBytes(PhysicalMemory.Bytes(queue.Descriptors, queue.Size * 16));
                random.NextBytes(PhysicalMemory.Bytes(queue.Available, 6 + queue.Size * 2));
                device.InterruptQueue(0);
                return;
            case 3:
                device.AskForReset();
                return;
            default:
                // Honest work, if the rings still make sense.
                Finish(device, queue, random);
                break;
        }

        device.InterruptQueue(0);
    }

    private static void Finish(FakeBlockDevice device, FakeVirtioQueue queue, Random random)
    {
        try
        {
            while (random.Next(4) != 0 && queue.TryPop(out FakeChain? chain))
            {
                device.Finish(0, chain!);
            }
        }
        catch (Exception problem) when (problem is not Xunit.Sdk.XunitException { Message: "a request ended twice" })
        {
            // The device tripped over its own scribbling; that is its problem.
        }
    }
}
