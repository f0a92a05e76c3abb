using System.Collections.Generic;
using FsCheck.Xunit;

namespace Blanket.Machine.Tests;

[Collection("machine")]
public class SlabTests
{
    private struct Entry
    {
        public long A;
        public long B;
        public long C;
    }

    [Property(MaxTest = 50)]
    public void EntriesKeepTheirContents((bool Free, ushort Pick)[] steps)
    {
        FrameTable.Simulate(256);
        ulong free = FrameAllocator.FreeFrames;
        Slab<Entry> slab = new(1000);
        List<(int Index, long Value)> model = [];
        long next = 1;
        foreach ((bool release, ushort pick) in steps)
        {
            if (release && model.Count > 0)
            {
                (int index, long value) = model[pick % model.Count];
                Assert.Equal(value, slab[index].C);
                slab.Free(index);
                Assert.False(slab.Contains(index));
                model.RemoveAt(pick % model.Count);
            }
            else if (slab.TryAllocate(out int index))
            {
                Assert.Equal(0, slab[index].A | slab[index].B | slab[index].C);
                slab[index] = new Entry { A = next, B = -next, C = next };
                model.Add((index, next++));
            }
        }

        Assert.Equal(model.Count, slab.Used);
        foreach ((int index, long value) in model)
        {
            Assert.Equal(value, slab[index].C);
        }

        slab.Clear();
        Assert.Equal(free, FrameAllocator.FreeFrames);
    }

    [Fact]
    public void TheMaximumIsKept()
    {
        FrameTable.Simulate(256);
        Slab<Entry> slab = new(3);
        Assert.True(slab.TryAllocate(out _));
        Assert.True(slab.TryAllocate(out _));
        Assert.True(slab.TryAllocate(out int last));
        Assert.False(slab.TryAllocate(out _));
        slab.Free(last);
        Assert.True(slab.TryAllocate(out _));
    }

    [Fact]
    public void AnIndexNotInUseIsCaught()
    {
        FrameTable.Simulate(256);
        Slab<Entry> slab = new(10);
        Assert.Throws<System.InvalidOperationException>(() => slab[0]);
        Assert.Throws<System.InvalidOperationException>(() => slab[-1]);
        Assert.Throws<System.InvalidOperationException>(() => slab[10]);
    }
}
