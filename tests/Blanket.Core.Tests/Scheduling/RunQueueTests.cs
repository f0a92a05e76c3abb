using System;
using System.Linq;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;

namespace Blanket.Core.Tests.Scheduling;

/// <summary>What guests are promised of the CPUs, on simulated CPUs: shares, caps, pinning, no idle CPU while somebody waits, latency.</summary>
public sealed class RunQueueTests
{
    private const ulong Millisecond = 1_000_000;
    private const ulong Second = 1000 * Millisecond;
    private const double Tolerance = 0.03;

    [Theory]
    [InlineData(1, 256, 512)]
    [InlineData(1, 100, 900)]
    [InlineData(1, 1, 65535)]
    [InlineData(1, 256, 256)]
    [InlineData(2, 256, 512)]
    public void SharesFollowTheWeights(int cpus, uint first, uint second)
    {
        SimulatedCpus machine = new(cpus);
        SimulatedVcpu[] one = machine.AddDomain(first, 0, 2);
        SimulatedVcpu[] other = machine.AddDomain(second, 0, 2);
        machine.Run(10 * Second);
        AssertShare(machine, one, (double)first / (first + second), cpus);
        AssertShare(machine, other, (double)second / (first + second), cpus);
        Assert.Equal(0UL, machine.WastedTime);
    }

    [Fact]
    public void ThreeGuestsShareTwoCpusEvenly()
    {
        SimulatedCpus machine = new(2);
        SimulatedVcpu[][] guests = [.. Enumerable.Range(0, 3).Select(_ => machine.AddDomain(256, 0, 1))];
        machine.Run(10 * Second);
        foreach (SimulatedVcpu[] guest in guests)
        {
            AssertShare(machine, guest, 1.0 / 3, 2);
        }
    }

    [Fact]
    public void AGuestDoesNotGetMoreByHavingMoreVcpus()
    {
        SimulatedCpus machine = new(2);
        SimulatedVcpu[] wide = machine.AddDomain(256, 0, 8);
        SimulatedVcpu[] narrow = machine.AddDomain(256, 0, 2);
        machine.Run(10 * Second);
        AssertShare(machine, wide, 0.5, 2);
        AssertShare(machine, narrow, 0.5, 2);
    }

    [Fact]
    public void WeightThatOneCpuCannotServeGoesToTheOthers()
    {
        SimulatedCpus machine = new(2);
        SimulatedVcpu[] heavy = machine.AddDomain(65535, 0, 1);
        SimulatedVcpu[] light = machine.AddDomain(256, 0, 1);
        SimulatedVcpu[] other = machine.AddDomain(256, 0, 1);
        machine.Run(10 * Second);
        AssertShare(machine, heavy, 0.5, 2);
        AssertShare(machine, light, 0.25, 2);
        AssertShare(machine, other, 0.25, 2);
    }

    [Theory]
    [InlineData(1, 25u, 1)]
    [InlineData(2, 50u, 2)]
    [InlineData(4, 150u, 4)]
    [InlineData(2, 3u, 1)]
    public void ACapIsHonouredAlsoOnAnIdleMachine(int cpus, uint cap, int vcpus)
    {
        SimulatedCpus machine = new(cpus);
        SimulatedVcpu[] guest = machine.AddDomain(256, cap, vcpus);
        machine.Run(10 * Second);
        double used = guest.Sum(vcpu => (double)vcpu.CpuTime) / (10 * Second);
        Assert.InRange(used, cap / 100.0 * (1 - Tolerance), cap / 100.0 * (1 + Tolerance));
    }

    /// <summary>What a cap promises is not lost when L0 takes the CPU away for some of its time slices.</summary>
    [Fact]
    public void ACapIsReachedAlthoughL0RunsTheCpuLate()
    {
        SimulatedCpus machine = new(2) { ResumeDelay = 12_000_000 };
        SimulatedVcpu[] guest = machine.AddDomain(256, 50, 1);
        machine.Run(10 * Second);
        double used = guest.Sum(vcpu => (double)vcpu.CpuTime) / (10 * Second);
        Assert.InRange(used, 0.5 * (1 - Tolerance), 0.5 * (1 + Tolerance));
    }

    [Fact]
    public void WhatACappedGuestMayNotUseGoesToTheOthers()
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu[] capped = machine.AddDomain(512, 20, 1);
        SimulatedVcpu[] other = machine.AddDomain(256, 0, 1);
        machine.Run(10 * Second);
        AssertShare(machine, capped, 0.2, 1);
        AssertShare(machine, other, 0.8, 1);
        Assert.Equal(0UL, machine.WastedTime);
    }

    [Fact]
    public void PinnedVcpusStayOnTheirCpus()
    {
        // The simulation itself asserts that nobody runs where it may not.
        CpuSet second = default;
        second.Add(1);
        SimulatedCpus machine = new(2);
        SimulatedVcpu[] pinned = machine.AddDomain(256, 0, 2, second);
        SimulatedVcpu[] free = machine.AddDomain(256, 0, 1);
        machine.Run(10 * Second);
        AssertShare(machine, pinned, 0.5, 2);
        AssertShare(machine, free, 0.5, 2);
        Assert.Equal(0UL, machine.WastedTime);
    }

    [Fact]
    public void AVcpuMovesWhenItsPinningChanges()
    {
        SimulatedCpus machine = new(2);
        SimulatedVcpu[] guest = machine.AddDomain(256, 0, 1);
        machine.Run(10 * Millisecond);
        int before = guest[0].Vcpu.Schedule.RunningOn;
        CpuSet other = default;
        other.Add(1 - before);
        RunQueue.SetAffinity(guest[0].Vcpu, other, machine.Now);
        machine.Run(10 * Millisecond);
        Assert.Equal(1 - before, guest[0].Vcpu.Schedule.RunningOn);
    }

    [Fact]
    public void ALightGuestThatWakesUpRunsAtOnceAmongHogs()
    {
        SimulatedCpus machine = new(2);
        for (int i = 0; i < 4; i++)
        {
            machine.AddDomain(256, 0, 2);
        }

        SimulatedVcpu[] light = machine.AddDomain(256, 0, 1);
        light[0].Alternate(() => 100_000, () => 5 * Millisecond);
        machine.Run(10 * Second);
        Assert.InRange(light[0].WorstLatency, 0UL, RunQueue.ShortestSlice);
        Assert.InRange(light[0].CpuTime, 150 * Millisecond, 250 * Millisecond);
    }

    [Theory]
    [InlineData(100_000, 50_000)]
    [InlineData(900_000, 100_000)]
    [InlineData(9_900_000, 100_000)]
    [InlineData(19_000_000, 7_000_000)]
    public void SleepingAtTheRightMomentsWinsNothing(ulong burst, ulong sleep)
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu[] gamer = machine.AddDomain(256, 0, 1);
        SimulatedVcpu[] honest = machine.AddDomain(256, 0, 1);
        gamer[0].Alternate(() => burst, () => sleep);
        machine.Run(10 * Second);
        Assert.InRange((double)gamer[0].CpuTime / (10 * Second), 0, 0.5 * (1 + Tolerance));
        Assert.InRange((double)honest[0].CpuTime / (10 * Second), 0.5 * (1 - Tolerance), 1);
    }

    [Fact]
    public void NobodyStarvesAndNoCpuIdlesWhateverTheGuestsDo()
    {
        for (int seed = 0; seed < 30; seed++)
        {
            Random random = new(seed);
            SimulatedCpus machine = new(random.Next(1, 9));
            int guests = random.Next(1, 12);
            for (int i = 0; i < guests; i++)
            {
                SimulatedVcpu[] added = machine.AddDomain((uint)random.Next(64, 1024), 0, random.Next(1, 4));
                foreach (SimulatedVcpu vcpu in added.Where(_ => random.Next(2) == 0))
                {
                    int burst = random.Next(10_000, 20_000_000);
                    int sleep = random.Next(10_000, 20_000_000);
                    vcpu.Alternate(() => (ulong)random.Next(1, burst), () => (ulong)random.Next(1, sleep));
                }
            }

            for (int second = 0; second < 3; second++)
            {
                ulong[] before = [.. machine.Vcpus.Select(vcpu => vcpu.CpuTime)];
                machine.Run(Second);
                Assert.All(machine.Vcpus.Zip(before), pair => Assert.True(pair.First.CpuTime > pair.Second, $"seed {seed}: a vCPU starves"));
            }

            Assert.True(machine.WastedTime == 0, $"seed {seed}: CPUs idled for {machine.WastedTime} ns while vCPUs waited");
            ulong used = (ulong)machine.Vcpus.Sum(vcpu => (long)vcpu.CpuTime);
            Assert.True(machine.Switches < (int)(used / (RunQueue.ShortestSlice / 20)), $"seed {seed}: {machine.Switches} switches");
        }
    }

    [Fact]
    public void RunStateTimesAddUp()
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu[] one = machine.AddDomain(256, 0, 1);
        SimulatedVcpu[] other = machine.AddDomain(256, 0, 1);
        ulong start = machine.Now;
        machine.Run(Second);
        RunQueue.Block(one[0].Vcpu);
        machine.Run(Second);
        RunQueue.ReadTimes(one[0].Vcpu, out Abi.Xen.VcpuRunStateInfo info);
        Assert.Equal((int)RunState.Blocked, info.State);
        Assert.Equal(one[0].CpuTime, info.TimeRunning);
        Assert.Equal(start + Second, info.TimeRunning + info.TimeRunnable + start);
        Assert.InRange(info.StateEntryTime, start + Second, start + Second + Millisecond);
        Assert.True(other[0].CpuTime > Second);
    }

    // The hypervisor works for one guest while another has the CPU, for so long every 0.7 ms. Returns the time that it worked, in all, ns.
    private static ulong WorkForOneInTimeOfAnother(SimulatedCpus machine, SimulatedVcpu payer, SimulatedVcpu robbed, ulong work, ulong duration)
    {
        ulong worked = 0;
        void Work()
        {
            worked += machine.TakeCpu(robbed, work, payer) ? work : 0;
            machine.After(700_000, Work);
        }

        machine.After(700_000, Work);
        machine.Run(duration);
        return worked;
    }

    /// <summary>Work for a guest in another's time is part of its share, whether it computes or comes and goes.</summary>
    [Theory]
    [InlineData(256, false)]
    [InlineData(512, false)]
    [InlineData(256, true)]
    public void WorkInAnothersTimeIsPartOfTheShare(uint weight, bool sleeps)
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu payer = machine.AddDomain(weight, 0, 1)[0];
        SimulatedVcpu robbed = machine.AddDomain(256, 0, 1)[0];
        if (sleeps)
        {
            payer.Alternate(() => 2 * Millisecond, () => 200_000);
        }

        ulong worked = WorkForOneInTimeOfAnother(machine, payer, robbed, 100_000, 10 * Second);
        Assert.InRange(worked, Second / 3, 2 * Second);
        Assert.InRange((double)(payer.CpuTime + worked) / robbed.CpuTime, weight / 256.0 * (1 - Tolerance), weight / 256.0 * (1 + Tolerance));
    }

    [Fact]
    public void WorkInAnothersTimeIsPartOfTheCap()
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu payer = machine.AddDomain(256, 30, 1)[0];
        SimulatedVcpu robbed = machine.AddDomain(256, 0, 1)[0];
        ulong worked = WorkForOneInTimeOfAnother(machine, payer, robbed, 100_000, 10 * Second);
        Assert.InRange(worked, Second / 3, 2 * Second);
        Assert.InRange((double)(payer.CpuTime + worked) / (10 * Second), 0.3 * (1 - Tolerance), 0.3 * (1 + Tolerance));
    }

    /// <summary>What comes for a guest while it sleeps does not keep it off the CPU for long when it wakes.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(30)]
    public void WorkForASleeperDoesNotStarveIt(uint cap)
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu sleeper = machine.AddDomain(256, cap, 1)[0];
        SimulatedVcpu robbed = machine.AddDomain(256, 0, 1)[0];
        machine.Run(100 * Millisecond);
        RunQueue.Block(sleeper.Vcpu);
        ulong worked = WorkForOneInTimeOfAnother(machine, sleeper, robbed, 300_000, 5 * Second);
        Assert.True(worked > Second);
        ulong before = sleeper.CpuTime;
        RunQueue.Wake(sleeper.Vcpu);
        machine.Run(500 * Millisecond);
        Assert.True(sleeper.CpuTime > before);
    }

    /// <summary>What the hypervisor does for itself while a vCPU has the CPU is not that vCPU's to pay, and no time that it ran.</summary>
    [Fact]
    public void TimeOfTheHypervisorsOwnIsNotCharged()
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu robbed = machine.AddDomain(256, 0, 1)[0];
        SimulatedVcpu other = machine.AddDomain(256, 0, 1)[0];
        void Take()
        {
            machine.TakeCpu(robbed, 300_000);
            machine.After(700_000, Take);
        }

        machine.After(700_000, Take);
        machine.Run(10 * Second);
        Assert.InRange((double)robbed.CpuTime / other.CpuTime, 1 - Tolerance, 1 + Tolerance);
        RunQueue.ReadTimes(robbed.Vcpu, out Abi.Xen.VcpuRunStateInfo info);
        ulong running = info.TimeRunning + (info.State == 0 ? machine.Now - info.StateEntryTime : 0);
        Assert.InRange((double)running / robbed.CpuTime, 0.999, 1.001);
        Assert.True(robbed.CpuTime + other.CpuTime < 9 * Second);
    }

    [Fact]
    public void AYieldLetsTheOthersRun()
    {
        SimulatedCpus machine = new(1);
        SimulatedVcpu[] one = machine.AddDomain(256, 0, 1);
        SimulatedVcpu[] other = machine.AddDomain(256, 0, 1);
        machine.Run(1000);
        SimulatedVcpu running = one[0].Vcpu.Schedule.IsRunning ? one[0] : other[0];
        RunQueue.Yield(running.Vcpu);
        machine.Run(1000);
        Assert.False(running.Vcpu.Schedule.IsRunning);
    }

    [Fact]
    public void AVcpuThatIsHeldElsewhereIsNotChosen()
    {
        Recorder host = new();
        RunQueue queue = new(host, 0, 2);
        Domain domain = new(1, 1);
        Vcpu vcpu = new(domain, 0, 0);
        domain.Vcpus[0] = vcpu;
        vcpu.Schedule.IsInitialised = true;
        queue.Add(vcpu);
        Assert.Null(queue.Choose(0, 1000));
        Assert.Null(queue.Choose(1, 1000));
        RunQueue.SetDown(vcpu, false, 1000);
        Assert.Same(vcpu, queue.Choose(0, 1000));

        // It blocks; CPU 0 keeps its registers. When it wakes up, CPU 1 must not take it.
        RunQueue.Block(vcpu);
        Assert.Null(queue.Choose(0, 2000));
        host.Prompted = -1;
        host.Time = 3000;
        RunQueue.Wake(vcpu);
        Assert.Equal(0, host.Prompted);
        Assert.Null(queue.Choose(1, 3000));
        host.Prompted = -1;
        RunQueue.Released(vcpu, 3000);
        Assert.Same(vcpu, queue.Choose(1, 3000));
    }

    /// <summary>An event that comes before the CPU has put a vCPU down that blocks lets it go on, and nobody reads the clock for that.</summary>
    [Fact]
    public void AVcpuThatStillRunsIsWokenWithoutTheTime()
    {
        (Recorder host, RunQueue queue, _, Vcpu vcpu) = TwoQueues();
        host.Time = null;
        RunQueue.SetDown(vcpu, false, 1000);
        Assert.Same(vcpu, queue.Choose(0, 1000));
        RunQueue.Block(vcpu);
        Assert.True(queue.MustChoose(0, 2000));
        Assert.Equal(0, RunQueue.Wake(vcpu));
        Assert.Same(vcpu, queue.Choose(0, 2000));
        RunQueue.Block(vcpu);
        Assert.Null(queue.Choose(0, 3000));
        host.Time = 4000;
        Assert.Equal(VcpuSchedule.Nowhere, RunQueue.Wake(vcpu));
        RunQueue.ReadTimes(vcpu, out Abi.Xen.VcpuRunStateInfo times);
        Assert.Equal((2000ul, 1000ul, 4000ul), (times.TimeRunning, times.TimeBlocked, times.StateEntryTime));
    }

    /// <summary>The CPU on which an event arrives may know an earlier time than the one that put the vCPU down: no time counts twice.</summary>
    [Fact]
    public void AWakeOfAnEarlierTimeDoesNotTurnTheClockBack()
    {
        (Recorder host, RunQueue queue, _, Vcpu vcpu) = TwoQueues();
        RunQueue.SetDown(vcpu, false, 1000);
        Assert.Same(vcpu, queue.Choose(0, 1000));
        RunQueue.Block(vcpu);
        Assert.Null(queue.Choose(0, 3000));
        host.Time = 2500;
        RunQueue.Wake(vcpu);
        Assert.Same(vcpu, queue.Choose(0, 4000));
        RunQueue.Block(vcpu);
        Assert.Null(queue.Choose(0, 5000));
        RunQueue.ReadTimes(vcpu, out Abi.Xen.VcpuRunStateInfo times);
        Assert.Equal((3000ul, 1000ul, 0ul, 5000ul), (times.TimeRunning, times.TimeRunnable, times.TimeBlocked, times.StateEntryTime));
    }

    /// <summary>A vCPU whose affinity leaves its queue's CPUs goes to the other queue: at once when it waits, when it is put down when it runs.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AVcpuFollowsItsAffinityToAnotherQueue(bool runs)
    {
        (Recorder host, RunQueue near, RunQueue far, Vcpu vcpu) = TwoQueues();
        RunQueue.SetDown(vcpu, false, 1000);
        if (runs)
        {
            Assert.Same(vcpu, near.Choose(0, 1000));
        }

        host.Prompted = -1;
        RunQueue.SetAffinity(vcpu, Only(8), 2000);
        if (runs)
        {
            Assert.Equal(0, host.Prompted);
            Assert.True(near.MustChoose(0, 2000));
            Assert.Null(near.Choose(0, 2000));
            RunQueue.Released(vcpu, 2000);
        }

        Assert.Equal(8, host.Prompted);
        Assert.Same(vcpu, far.Choose(8, 3000));
        Assert.Null(near.Choose(0, 3000));
        Assert.Equal(0, near.Waiting + far.Waiting);
    }

    /// <summary>A blocked vCPU that an idle CPU keeps loaded changes the queue; its event has that CPU put it down, then the new one runs it.</summary>
    [Fact]
    public void ABlockedVcpuThatIsHeldIsPutDownWhenItWakesInAnotherQueue()
    {
        (Recorder host, RunQueue near, RunQueue far, Vcpu vcpu) = TwoQueues();
        RunQueue.SetDown(vcpu, false, 1000);
        Assert.Same(vcpu, near.Choose(0, 1000));
        RunQueue.Block(vcpu);
        Assert.Null(near.Choose(0, 2000));
        RunQueue.SetAffinity(vcpu, Only(8), 3000);
        host.Prompted = -1;
        host.Time = 4000;
        RunQueue.Wake(vcpu);
        Assert.Equal(0, host.Prompted);
        Assert.Null(far.Choose(8, 4000));
        Assert.True(vcpu.Schedule.IsWaiting);
        RunQueue.Released(vcpu, 4000);
        Assert.Equal(8, host.Prompted);
        Assert.Same(vcpu, far.Choose(8, 5000));
    }

    private static (Recorder Host, RunQueue Near, RunQueue Far, Vcpu Vcpu) TwoQueues()
    {
        Recorder host = new();
        RunQueue near = new(host, 0, 8);
        RunQueue far = new(host, 8, 1);
        host.Other = far;
        Domain domain = new(1, 1);
        Vcpu vcpu = new(domain, 0, 0);
        domain.Vcpus[0] = vcpu;
        vcpu.Schedule.IsInitialised = true;
        near.Add(vcpu);
        Assert.Null(near.Choose(0, 1000));
        Assert.Null(far.Choose(8, 1000));
        return (host, near, far, vcpu);
    }

    private static CpuSet Only(int cpu)
    {
        CpuSet set = default;
        set.Add(cpu);
        return set;
    }

    private static void AssertShare(SimulatedCpus machine, SimulatedVcpu[] guest, double share, int cpus)
    {
        double all = machine.Vcpus.Sum(vcpu => (double)vcpu.CpuTime);
        double used = guest.Sum(vcpu => (double)vcpu.CpuTime);
        Assert.InRange(all, 10.0 * Second * cpus * 0.999, 10.0 * Second * cpus * 1.001);
        Assert.InRange(used / all, Math.Max(share * (1 - Tolerance), 0), Math.Max(share * (1 + Tolerance), 0.002));
    }

    private sealed class Recorder : RunQueueHost
    {
        public int Prompted { get; set; }

        public RunQueue? Other { get; set; }

        /// <summary>What the clock shows; null when nobody is to read it.</summary>
        public ulong? Time { get; set; }

        public override ulong WakeTime => Time ?? throw new InvalidOperationException("the clock is read");

        public override RunQueue? FindQueue(Vcpu vcpu) => Other;

        public override void Prompt(int cpu) => Prompted = cpu;

        public override void ResumeAt(Domain domain, ulong time)
        {
        }
    }
}
