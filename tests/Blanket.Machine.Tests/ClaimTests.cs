using System;

namespace Blanket.Machine.Tests;

/// <summary>Frames that are promised to one guest are nobody else's, and who waits for frames is told once.</summary>
[Collection("machine")]
public sealed class ClaimTests : IDisposable
{
    private const int Frames = 256;
    private const ulong Reserve = 16;

    public ClaimTests()
    {
        FrameTable.Simulate(Frames);
        FrameAllocator.Reserve = Reserve;
    }

    /// <inheritdoc/>
    public void Dispose() => FrameAllocator.Reserve = 0;

    [Fact]
    public void OthersGetWhatIsLeftBeyondAClaim()
    {
        ulong claim = FrameAllocator.FreeFrames - Reserve - 2;
        FrameAllocator.Claim(claim);
        Assert.True(FrameAllocator.IsClaimCovered);
        Assert.False(Take(2, fromClaim: false));
        Assert.True(Take(1, fromClaim: false));
        Assert.False(Take(0, fromClaim: false));
        Assert.True(FrameAllocator.IsClaimCovered);

        // The claim becomes smaller with each frame of it.
        Assert.True(Take(4, fromClaim: true));
        Assert.Equal(claim - 16, FrameAllocator.ClaimedFrames);
        Assert.True(FrameAllocator.IsClaimCovered);
        while (FrameAllocator.ClaimedFrames > 0)
        {
            Assert.True(Take(0, fromClaim: true));
        }

        Assert.False(Take(0, fromClaim: true));
        Assert.Equal(Reserve, FrameAllocator.FreeFrames);
    }

    [Fact]
    public void AClaimMayBeForFramesThatAreStillToCome()
    {
        Assert.True(FrameAllocator.TryAllocate(6, ulong.MaxValue, out ulong held));
        FrameAllocator.Claim(FrameAllocator.FreeFrames - Reserve + 64);
        Assert.False(FrameAllocator.IsClaimCovered);
        Assert.False(Take(0, fromClaim: false));
        FrameAllocator.Free(held, 6);
        Assert.True(FrameAllocator.IsClaimCovered);
        Assert.False(Take(0, fromClaim: false));
        FrameAllocator.EndClaim();
        Assert.True(Take(0, fromClaim: false));
    }

    [Fact]
    public void WhoWaitsIsToldOnce()
    {
        Counter counter = new();
        Assert.True(FrameAllocator.TryAllocate(1, ulong.MaxValue, out ulong first));
        FrameAllocator.Await(FrameAllocator.FreeFrames + 2, counter);
        FrameAllocator.Free(first);
        Assert.Equal(0, counter.Count);
        FrameAllocator.Free(first + 1);
        Assert.Equal(1, counter.Count);
        Assert.True(FrameAllocator.TryAllocate(out ulong second));
        FrameAllocator.Free(second);
        Assert.Equal(1, counter.Count);

        // What is there already is told at once.
        FrameAllocator.Await(FrameAllocator.FreeFrames, counter);
        Assert.Equal(2, counter.Count);
    }

    private static bool Take(int order, bool fromClaim) => FrameAllocator.TryAllocateForGuest(order, ulong.MaxValue, fromClaim, out _);

    private sealed class Counter : FreeFramesObserver
    {
        internal int Count { get; private set; }

        public override void Reached() => Count++;
    }
}
