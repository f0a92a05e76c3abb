using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Core.Memory;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Memory;

/// <summary>
/// Random memory operations of two guests, preempted at random: after each one all counts are explained, no TLB can hold what it
/// must not, and at the end nothing is left.
/// </summary>
public sealed class RandomOperationTests
{
    private const int Operations = 250;

    [Property(MaxTest = 40)]
    public void CountsAreExactAfterEveryOperation(int seed) => new RandomRun(seed).Run(Operations);
}

internal sealed class RandomRun
{
    private readonly Random _random;
    private readonly TestMachine _machine = new(256);
    private readonly RandomActor[] _actors;
    private readonly ulong _freeAtStart = FrameAllocator.FreeFrames;
    private readonly TlbModel _tlb = new();
    private readonly StringBuilder _trace = new();
    private readonly int _seed;

    public RandomRun(int seed)
    {
        _seed = seed;
        _random = new Random(seed);
        const int frames = RandomActor.FramesOfAGuest;
        TestGuest first = new(_machine, 1, frames, 2, frames + 4) { Preempted = IsPreempted };
        TestGuest second = new(_machine, 2, frames, 1, frames + 4) { Preempted = IsPreempted };
        first.Domain.MayManageMemory = true;
        _actors = [new RandomActor(first, second, _random), new RandomActor(second, first, _random)];
    }

    internal Action? After { get; set; }

    public void Run(int operations)
    {
        foreach (RandomActor actor in _actors)
        {
            actor.Guest.BuildTree(actor.Guest.Frames[4]);
            Assert.Equal(0, RootTable.Install(actor.Guest.Vcpu, actor.Guest.Frames[0]));
        }

        for (int i = 0; i < operations; i++)
        {
            RandomActor actor = _actors[_random.Next(_actors.Length)];
            TestGuest guest = actor.Guest;
            guest.Use(_random.Next(guest.Domain.Vcpus.Length));
            TlbFlush.EnterVcpu(guest.Vcpu);
            string what = actor.Execute();
            _trace.Append(i).Append(": d").Append(guest.Domain.Id).Append('v').Append(guest.Vcpu.Id).Append(' ').AppendLine(what);
            FrameQuarantine.Drain();
            Audit();
            After?.Invoke();
            _tlb.Check(Describe);
            for (int access = 0; access < 4; access++)
            {
                _tlb.Access(guest, actor.RandomLinear(), _random.Next(2) == 0);
            }
        }

        foreach (RandomActor actor in _actors)
        {
            actor.LetGo();
        }

        foreach (RandomActor actor in _actors)
        {
            _machine.Destroy(actor.Guest.Domain, _random);
        }

        foreach (RandomActor actor in _actors)
        {
            if (!actor.Guest.Domain.OwnsNoFrames)
            {
                Assert.Fail("frames are left\n" + Describe());
            }
        }

        // The vCPUs' own frames stay.
        Assert.Equal(_freeAtStart, FrameAllocator.FreeFrames + (3UL << VcpuState.Order));
        TestMachine.AssertScrubbed();
    }

    internal string Describe() => $"seed {_seed}\n{_trace}";

    private bool IsPreempted() => _random.Next(3) == 0;

    private void Audit()
    {
        List<ulong> references = [.. _actors[0].References, .. _actors[1].References];
        List<ulong> writable = [.. _actors[0].Writable, .. _actors[1].Writable];
        _machine.Audit(references, writable, Describe);
    }
}
