using System;
using System.Collections.Generic;
using System.Threading;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>Several vCPUs of one guest, and another guest that maps its frames, at the same time.</summary>
public sealed class ConcurrencyTests
{
    private const int Operations = 2500;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void CountsAreExactAfterConcurrentOperations(int seed)
    {
        TestMachine machine = new(256);
        ulong freeAtStart = FrameAllocator.FreeFrames;
        const int frames = RandomActor.FramesOfAGuest;
        TestGuest first = new(machine, 1, frames, 2, frames + 4);
        TestGuest second = new(machine, 2, frames, 1, frames + 4);
        first.Domain.MayManageMemory = true;
        foreach (TestGuest guest in (TestGuest[])[first, second])
        {
            guest.BuildTree(guest.Frames[4]);
            Assert.Equal(0, RootTable.Install(guest.Vcpu, guest.Frames[0]));
        }

        RandomActor[] actors =
        [
            Create(new TestGuest(first, 0), second, seed * 10),
            Create(new TestGuest(first, 1), second, seed * 10 + 1),
            Create(new TestGuest(second, 0), first, seed * 10 + 2),
        ];
        Run(actors);

        List<ulong> references = [];
        List<ulong> writable = [];
        foreach (RandomActor actor in actors)
        {
            references.AddRange(actor.References);
            writable.AddRange(actor.Writable);
        }

        FrameQuarantine.Drain();
        machine.Audit(references, writable);
        foreach (RandomActor actor in actors)
        {
            actor.LetGo();
        }

        machine.Destroy(first.Domain);
        machine.Destroy(second.Domain);
        Assert.True(first.Domain.OwnsNoFrames && second.Domain.OwnsNoFrames);
        Assert.Equal(freeAtStart, FrameAllocator.FreeFrames + (3UL << VcpuState.Order));
    }

    private static RandomActor Create(TestGuest guest, TestGuest other, int seed)
    {
        Random random = new(seed);
        guest.Preempted = () => random.Next(4) == 0;
        return new RandomActor(guest, other, random);
    }

    private static void Run(RandomActor[] actors)
    {
        Exception? failure = null;
        Thread[] threads = new Thread[actors.Length];
        for (int i = 0; i < actors.Length; i++)
        {
            RandomActor actor = actors[i];
            threads[i] = new Thread(() =>
            {
                try
                {
                    actor.Guest.Use(actor.Guest.Vcpu.Id);
                    for (int operation = 0; operation < Operations; operation++)
                    {
                        actor.Execute();
                    }
                }
                catch (Exception exception)
                {
                    failure = exception;
                }
            });
            threads[i].Start();
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        Assert.Null(failure);
    }
}
