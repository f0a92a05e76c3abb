namespace Blanket.Machine.Tests;

/// <summary>An arena has the memory before objects are created in it, or says so.</summary>
[Collection("machine")]
public sealed class ArenaTests
{
    private const int StepSize = 64 << 10;

    public ArenaTests() => FrameTable.Simulate(256);

    [Fact]
    public void WithoutMemoryItIsNotEntered()
    {
        Arena arena = new();
        ulong free = FrameAllocator.FreeFrames;
        FrameAllocator.FailEvery(1);
        Assert.False(arena.TryEnter(StepSize));
        FrameAllocator.FailEvery(0);
        Assert.Equal(free, FrameAllocator.FreeFrames);
        Assert.True(arena.TryEnter(StepSize));
        arena.Leave();
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(4000, 1)]
    [InlineData(5000, 2)]
    [InlineData(20000, 8)]
    [InlineData(StepSize, 32)]
    public void WhatIsNotNeededIsGivenBack(int used, int frames)
    {
        Arena arena = new();
        ulong free = FrameAllocator.FreeFrames;
        Assert.True(arena.TryEnter(StepSize));
        Assert.True(arena.TryTake(used));
        arena.Leave();
        Assert.Equal((ulong)frames, arena.Frames);
        Assert.Equal(free - (ulong)frames, FrameAllocator.FreeFrames);

        // There is enough again, whatever is left of the last block.
        Assert.True(arena.TryEnter(StepSize));
        Assert.True(arena.TryTake(StepSize));
        arena.Leave();
        arena.Release();
        Assert.Equal(0UL, arena.Frames);
        Assert.Equal(free, FrameAllocator.FreeFrames);
    }

    [Fact]
    public void AStepThatFitsTakesNoFurtherFrames()
    {
        Arena arena = new();
        Assert.True(arena.TryEnter(StepSize));
        Assert.True(arena.TryTake(5000));
        arena.Leave();
        Assert.True(arena.TryEnter(2000));
        Assert.True(arena.TryTake(2000));
        arena.Leave();
        Assert.Equal(2UL, arena.Frames);
        arena.Release();
    }

    [Fact]
    public void AStepThatNeedsNothingLeavesEverythingAsItWas()
    {
        Arena arena = new();
        Assert.True(arena.TryEnter(4000));
        Assert.True(arena.TryTake(3000));
        arena.Leave();
        ulong free = FrameAllocator.FreeFrames;
        for (int i = 0; i < 3; i++)
        {
            Assert.True(arena.TryEnter(2000));
            arena.Leave();
            Assert.Equal(free, FrameAllocator.FreeFrames);
        }

        // What was left of the first block is used still.
        Assert.True(arena.TryEnter(1000));
        Assert.True(arena.TryTake(1000));
        arena.Leave();
        Assert.Equal(1UL, arena.Frames);
        arena.Release();
    }

    /// <summary>What tables of the machine keep is not counted as left behind.</summary>
    [Fact]
    public void FramesOfATableAreCountedAsSuch()
    {
        uint tables = TableFrames.Count;
        Arena arena = new() { IsTable = true };
        Assert.True(arena.TryEnter(StepSize));
        Assert.True(arena.TryTake(5000));
        arena.Leave();
        Assert.Equal(tables + 2, TableFrames.Count);
        arena.Release();
        Assert.Equal(tables, TableFrames.Count);
    }
}
