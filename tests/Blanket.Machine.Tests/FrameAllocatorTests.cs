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
}
