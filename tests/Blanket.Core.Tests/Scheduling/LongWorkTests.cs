using System;
using Blanket.Core.Scheduling;

namespace Blanket.Core.Tests.Scheduling;

/// <summary>The hypervisor's own long work shares a CPU with the vCPUs.</summary>
public sealed class LongWorkTests
{
    private readonly LongWork _work = new();
    private ulong _now = 1_000_000;
    private ulong _worked;

    private void TakeTurn(ulong length, bool hasMore = true)
    {
        ulong start = _now;
        _now += length;
        _worked += length;
        _work.End(start, _now, hasMore);
    }

    /// <summary>Turns that a timer ends, or later if a step of the work takes longer.</summary>
    [Theory]
    [InlineData(LongWork.Turn)]
    [InlineData(LongWork.Turn + 20_000)]
    [InlineData(3_000_000UL)]
    public void VcpusAndWorkHaveHalfOfABusyCpuEach(ulong length)
    {
        _work.Request();
        ulong start = _now;
        while (_now < start + 2_000_000_000)
        {
            if (_work.MayBegin(_now, isIdle: false))
            {
                TakeTurn(length);
            }
            else
            {
                _now = _work.Due;
            }
        }

        Assert.InRange((double)_worked / (_now - start), 0.49, 0.51);
    }

    /// <summary>A turn that something ends early gives way to vCPUs all the same, and the next one comes as soon.</summary>
    [Fact]
    public void AnInterruptedTurnGivesWay()
    {
        _work.Request();
        for (int i = 0; i < 100; i++)
        {
            Assert.True(_work.MayBegin(_now, isIdle: false));
            TakeTurn(1_000);
            Assert.False(_work.MayBegin(_now, isIdle: false));
            Assert.Equal(_now + LongWork.Turn, _work.Due);
            _now = _work.Due;
        }
    }

    [Fact]
    public void AnIdleCpuIsTheWorks()
    {
        _work.Request();
        for (int i = 0; i < 100; i++)
        {
            Assert.True(_work.MayBegin(_now, isIdle: true));
            TakeTurn(50_000);
        }
    }

    /// <summary>More work that is asked for does not shorten the time that vCPUs have.</summary>
    [Fact]
    public void NewWorkWaitsForItsTurn()
    {
        _work.Request();
        TakeTurn(LongWork.Turn, hasMore: false);
        Assert.Equal(ulong.MaxValue, _work.Due);
        _work.Request();
        Assert.False(_work.MayBegin(_now, isIdle: false));
        Assert.Equal(_now + LongWork.Turn, _work.Due);
    }

    [Fact]
    public void NoWorkIsNotWaitedFor()
    {
        Assert.Equal(ulong.MaxValue, _work.Due);
        Assert.False(_work.MayBegin(ulong.MaxValue - 1, isIdle: true));
        _work.Request();
        TakeTurn(100_000, hasMore: false);
        Assert.Equal(ulong.MaxValue, _work.Due);
        Assert.False(_work.MayBegin(ulong.MaxValue - 1, isIdle: true));
    }
}
