using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;

namespace Blanket.Core.Tests.Scheduling;

/// <summary>
/// CPUs, guests and a clock in a simulation: a run queue decides, events happen in the order of their time, and every nanosecond of
/// every vCPU is counted here, independently of the scheduler's own books.
/// </summary>
internal sealed class SimulatedCpus : RunQueueHost
{
    private readonly RunQueue _queue;
    private readonly bool[] _isPrompted;
    private readonly Vcpu?[] _running;
    private readonly List<SimulatedVcpu> _vcpus = [];
    private readonly PriorityQueue<Action, (ulong Time, int Order)> _events = new();
    private int _order;
    private ushort _nextDomain = 1;

    public SimulatedCpus(int cpus)
    {
        _queue = new RunQueue(this, 0, cpus);
        _isPrompted = [.. Enumerable.Repeat(true, cpus)];
        _running = new Vcpu?[cpus];
    }

    public ulong Now { get; private set; } = 1_000_000_000;

    /// <summary>How late a throttled domain is told to go on, ns: its timer's CPU does not get its turn from L0.</summary>
    public ulong ResumeDelay { get; init; }

    /// <summary>Time that CPUs idled while a vCPU that they could have run waited, ns.</summary>
    public ulong WastedTime { get; private set; }

    /// <summary>How often CPUs changed from one vCPU to another.</summary>
    public int Switches { get; private set; }

    public IReadOnlyList<SimulatedVcpu> Vcpus => _vcpus;

    /// <summary>A domain whose vCPUs are up and run for ever, until a behaviour is set.</summary>
    public SimulatedVcpu[] AddDomain(uint weight, uint cap, int vcpus, CpuSet affinity = default)
    {
        Domain domain = new(_nextDomain++, vcpus);
        domain.Share.Set(weight, cap, Now);
        SimulatedVcpu[] added = new SimulatedVcpu[vcpus];
        for (int i = 0; i < vcpus; i++)
        {
            Vcpu vcpu = new(domain, i, 0);
            domain.Vcpus[i] = vcpu;
            vcpu.Schedule.IsInitialised = true;
            vcpu.Schedule.Affinity = affinity;
            _queue.Add(vcpu);
            added[i] = new SimulatedVcpu(this, vcpu);
            _vcpus.Add(added[i]);
        }

        foreach (SimulatedVcpu vcpu in added)
        {
            RunQueue.SetDown(vcpu.Vcpu, false, Now);
        }

        return added;
    }

    /// <summary>Has something done after so many ns.</summary>
    public void After(ulong nanoseconds, Action action) => _events.Enqueue(action, (Now + nanoseconds, _order++));

    /// <summary>
    /// The hypervisor has CPU 0, of a machine with one, for itself for a while, or works for somebody who pays for it, if a vCPU is the one that would run.
    /// </summary>
    /// <returns>Whether it is.</returns>
    public bool TakeCpu(SimulatedVcpu from, ulong nanoseconds, SimulatedVcpu? payer = null)
    {
        if (_running[0] != from.Vcpu)
        {
            return false;
        }

        ulong start = Now;
        Now += nanoseconds;
        _queue.TakeTime(0, start, Now);
        payer?.Vcpu.Domain.Share.AddDebt(nanoseconds);
        return true;
    }

    public override ulong WakeTime => Now;

    public override void Prompt(int cpu) => _isPrompted[cpu] = true;

    public override void ResumeAt(Domain domain, ulong time) => _events.Enqueue(
        () =>
        {
            domain.Share.Resume(Now);
            foreach (Vcpu? vcpu in domain.Vcpus)
            {
                RunQueue.Unpark(vcpu!, Now);
            }
        },
        (time + ResumeDelay, _order++));

    public void Run(ulong nanoseconds)
    {
        ulong end = Now + nanoseconds;
        while (Now < end)
        {
            Settle();
            ulong next = NextTime(end);
            Pass(next - Now);
            Now = next;
            while (_events.TryPeek(out Action? action, out (ulong Time, int Order) when) && when.Time <= Now)
            {
                _events.Dequeue();
                action();
            }

            foreach (SimulatedVcpu vcpu in _vcpus)
            {
                vcpu.EndBurst();
            }
        }
    }

    // CPUs that have to choose do so, until none has.
    private void Settle()
    {
        bool any = true;
        for (int round = 0; any; round++)
        {
            Assert.True(round < 1000, "CPUs do not come to rest");
            any = false;
            for (int cpu = 0; cpu < _running.Length; cpu++)
            {
                if (!_isPrompted[cpu] && !_queue.MustChoose(cpu, Now))
                {
                    continue;
                }

                _isPrompted[cpu] = false;
                if (!_queue.MustChoose(cpu, Now) && _running[cpu] != null)
                {
                    continue;
                }

                any = true;
                Switch(cpu, _queue.Choose(cpu, Now));
            }
        }
    }

    private void Switch(int cpu, Vcpu? next)
    {
        Vcpu? previous = _running[cpu];
        if (previous == next)
        {
            return;
        }

        Assert.True(next == null || next.Schedule.MayRunOn(cpu));
        Assert.DoesNotContain(next, _running.Where(vcpu => vcpu != null));
        _running[cpu] = next;
        Switches++;
        if (previous != null)
        {
            RunQueue.Released(previous, Now);
        }
    }

    private ulong NextTime(ulong end)
    {
        ulong next = end;
        if (_events.TryPeek(out _, out (ulong Time, int Order) when))
        {
            next = Math.Min(next, when.Time);
        }

        for (int cpu = 0; cpu < _running.Length; cpu++)
        {
            next = Math.Min(next, _queue.SliceEnd(cpu));
            if (_running[cpu] != null)
            {
                next = Math.Min(next, Now + Of(_running[cpu]!).LeftOfBurst);
            }
        }

        return Math.Max(next, Now + 1);
    }

    private void Pass(ulong nanoseconds)
    {
        bool anyIdle = false;
        for (int cpu = 0; cpu < _running.Length; cpu++)
        {
            if (_running[cpu] == null)
            {
                int idle = cpu;
                anyIdle |= _vcpus.Any(vcpu => vcpu.Vcpu.Schedule.IsWaiting && vcpu.Vcpu.Schedule.MayRunOn(idle));
            }
            else
            {
                Of(_running[cpu]!).Ran(nanoseconds);
            }
        }

        WastedTime += anyIdle ? nanoseconds : 0;
    }

    private SimulatedVcpu Of(Vcpu vcpu) => _vcpus.Single(simulated => simulated.Vcpu == vcpu);
}

/// <summary>A vCPU that runs for ever, or in bursts with sleep in between.</summary>
internal sealed class SimulatedVcpu(SimulatedCpus cpus, Vcpu vcpu)
{
    private Func<ulong>? _burst;
    private Func<ulong>? _sleep;
    private ulong _wokenAt;
    private bool _isWoken;

    public Vcpu Vcpu { get; } = vcpu;

    /// <summary>CPU time that it had, ns.</summary>
    public ulong CpuTime { get; private set; }

    /// <summary>Longest time from a wake-up until it ran, ns.</summary>
    public ulong WorstLatency { get; private set; }

    public ulong LeftOfBurst { get; private set; } = ulong.MaxValue / 4;

    /// <summary>From now on it runs for the one time and sleeps for the other, ns.</summary>
    public void Alternate(Func<ulong> burst, Func<ulong> sleep)
    {
        _burst = burst;
        _sleep = sleep;
        LeftOfBurst = burst();
    }

    public void Ran(ulong nanoseconds)
    {
        if (_isWoken)
        {
            WorstLatency = Math.Max(WorstLatency, cpus.Now - _wokenAt);
            _isWoken = false;
        }

        CpuTime += nanoseconds;
        LeftOfBurst -= Math.Min(LeftOfBurst, nanoseconds);
    }

    public void EndBurst()
    {
        if (LeftOfBurst != 0 || _burst == null)
        {
            return;
        }

        LeftOfBurst = Math.Max(_burst(), 1);
        RunQueue.Block(Vcpu);
        cpus.After(
            Math.Max(_sleep!(), 1),
            () =>
            {
                _wokenAt = cpus.Now;
                _isWoken = true;
                RunQueue.Wake(Vcpu);
            });
    }
}
