using System.Collections.Generic;
using System.Linq;
using FsCheck.Xunit;

namespace Blanket.Machine.Tests;

[Collection("machine")]
public class FrameAllocatorTests
{
    private const int Frames = 1024;

    [Property(MaxTest = 50)]
    public void BlocksNeverOverlapAndAllComeBack((byte Order, bool Free)[] steps)
    {
        FrameTable.Simulate(Frames);
        ulong free = FrameAllocator.FreeFrames;
        Assert.Equal((ulong)Frames - 1, free);
        List<(ulong Frame, int Order)> held = [];
        HashSet<ulong> used = [];
        foreach ((byte order, bool release) in steps)
        {
            if (release && held.Count > 0)
            {
                (ulong frame, int size) = held[order % held.Count];
                held.RemoveAt(order % held.Count);
                used.ExceptWith(Enumerable.Range(0, 1 << size).Select(i => frame + (ulong)i));
                FrameAllocator.Free(frame, size);
            }
            else if (FrameAllocator.TryAllocate(order % 6, ulong.MaxValue, out ulong block))
            {
                Assert.Equal(0UL, block & ((1UL << (order % 6)) - 1));
                for (ulong i = 0; i < 1UL << (order % 6); i++)
                {
                    Assert.True(used.Add(block + i));
                    Assert.Equal(FrameState.Hypervisor, FrameTable.Of(block + i).State);
                }

                held.Add((block, order % 6));
            }

            Assert.Equal(free - (ulong)used.Count, FrameAllocator.FreeFrames);
        }

        foreach ((ulong frame, int size) in held)
        {
            FrameAllocator.Free(frame, size);
        }

        Assert.Equal(free, FrameAllocator.FreeFrames);
        Assert.True(FrameAllocator.TryAllocate(9, ulong.MaxValue, out ulong merged));
        Assert.Equal(512UL, merged);
    }

    [Fact]
    public void TheFrameLimitIsKept()
    {
        FrameTable.Simulate(Frames);
        while (FrameAllocator.TryAllocate(0, 100, out ulong frame))
        {
            Assert.InRange(frame, 1UL, 99UL);
        }

        Assert.Equal((ulong)Frames - 100, FrameAllocator.FreeFrames);
    }

    [Fact]
    public void FreeingTwiceIsCaught()
    {
        FrameTable.Simulate(Frames);
        Assert.True(FrameAllocator.TryAllocate(out ulong frame));
        FrameAllocator.Free(frame);
        Assert.Throws<System.InvalidOperationException>(() => FrameAllocator.Free(frame));
    }

    [Fact]
    public void AWithdrawnFrameIsNoMemoryUntilItIsAddedAgain()
    {
        FrameTable.Simulate(Frames);
        ulong total = FrameAllocator.TotalFrames;
        ulong free = FrameAllocator.FreeFrames;
        HashSet<ulong> gone = [];
        for (int i = 0; i < 10; i++)
        {
            Assert.True(FrameAllocator.TryWithdraw(out ulong frame));
            Assert.Equal(FrameState.Reserved, FrameTable.Of(frame).State);
            gone.Add(frame);
        }

        Assert.Equal(total - 10, FrameAllocator.TotalFrames);
        Assert.Equal(free - 10, FrameAllocator.FreeFrames);
        List<ulong> taken = [];
        while (FrameAllocator.TryAllocate(out ulong frame))
        {
            taken.Add(frame);
        }

        Assert.False(FrameAllocator.TryWithdraw(out _));
        Assert.Empty(gone.Intersect(taken));
        foreach (ulong frame in gone)
        {
            FrameAllocator.AddRange(frame, 1);
        }

        taken.ForEach(FrameAllocator.Free);
        Assert.Equal(total, FrameAllocator.TotalFrames);
        Assert.True(FrameAllocator.TryAllocate(8, ulong.MaxValue, out _));
    }
}
