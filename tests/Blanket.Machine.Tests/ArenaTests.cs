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
        Create(arena, StepSize, used);
        Assert.Equal((ulong)frames, arena.Frames);
        Assert.Equal(free - (ulong)frames, FrameAllocator.FreeFrames);

        // There is enough again, whatever is left of the last block.
        Create(arena, StepSize, StepSize);
        arena.Release();
        Assert.Equal(0UL, arena.Frames);
        Assert.Equal(free, FrameAllocator.FreeFrames);
    }

    [Fact]
    public void AStepThatFitsTakesNoFurtherFrames()
    {
        Arena arena = new();
        Create(arena, StepSize, 5000);
        Create(arena, 2000, 2000);
        Assert.Equal(2UL, arena.Frames);
        arena.Release();
    }

    [Fact]
    public void AStepThatNeedsNothingLeavesEverythingAsItWas()
    {
        Arena arena = new();
        Create(arena, 4000, 3000);
        ulong free = FrameAllocator.FreeFrames;
        for (int i = 0; i < 3; i++)
        {
            Assert.True(arena.TryEnter(2000));
            arena.Leave();
            Assert.Equal(free, FrameAllocator.FreeFrames);
        }

        // What was left of the first block is used still.
        Create(arena, 1000, 1000);
        Assert.Equal(1UL, arena.Frames);
        arena.Release();
    }

    /// <summary>What tables of the machine keep is not counted as left behind.</summary>
    [Fact]
    public void FramesOfATableAreCountedAsSuch()
    {
        uint tables = TableFrames.Count;
        Arena arena = new() { IsTable = true };
        Create(arena, StepSize, 5000);
        Assert.Equal(tables + 2, TableFrames.Count);
        arena.Release();
        Assert.Equal(tables, TableFrames.Count);
    }

    /// <summary>A step of which so many bytes are asked for, and so many used.</summary>
    private static void Create(Arena arena, int asked, int used)
    {
        Assert.True(arena.TryEnter(asked));
        Assert.True(arena.TryTake(used));
        arena.Leave();
    }
}
