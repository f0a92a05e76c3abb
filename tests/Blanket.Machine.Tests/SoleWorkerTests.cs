using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Blanket.Machine.Tests;

/// <summary>Work that one CPU at a time does for all.</summary>
public sealed class SoleWorkerTests
{
    [Fact]
    public void NewsThatComesMeanwhileIsLeftToWhoIsAtWork()
    {
        SoleWorker worker = default;
        Assert.True(worker.TryBegin());
        int seen = worker.Seen;
        Assert.False(worker.TryBegin());
        Assert.False(worker.TryEnd(seen));
        Assert.True(worker.TryEnd(worker.Seen));
        Assert.True(worker.TryBegin());
    }

    [Fact]
    public void WhatAnAbandonedWorkerHeldIsFree()
    {
        SoleWorker worker = default;
        Assert.True(worker.TryBegin());
        worker.Abandon();
        Assert.True(worker.TryBegin());
    }

    /// <summary>No piece of news is lost and no two threads work at once: what each thread adds has been taken when all are done.</summary>
    [Fact]
    public async Task ThreadsLoseNothing()
    {
        const int threads = 4, pieces = 50_000;
        Shared shared = new();
        await Task.WhenAll(Enumerable.Range(0, threads).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < pieces; i++)
            {
                Interlocked.Increment(ref shared.Waiting);
                shared.Work();
            }
        })));
        Assert.Equal((0, threads * pieces, 0), (shared.Waiting, shared.Taken, shared.Overlaps));
    }

    private sealed class Shared
    {
        public int Waiting;
        public int Taken;
        public int Overlaps;
        private SoleWorker _worker;
        private int _workers;

        public void Work()
        {
            if (!_worker.TryBegin())
            {
                return;
            }

            int seen;
            do
            {
                seen = _worker.Seen;
                Overlaps += Interlocked.Increment(ref _workers) - 1;
                Taken += Interlocked.Exchange(ref Waiting, 0);
                Interlocked.Decrement(ref _workers);
            }
            while (!_worker.TryEnd(seen));
        }
    }
}
