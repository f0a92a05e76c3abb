using System.Numerics;
using System.Threading;

namespace Blanket.Core.Memory;

/// <summary>A set of CPU numbers below <see cref="Machine.Cpu.MaximumCpus"/>.</summary>
public struct CpuSet
{
    /// <summary>CPUs 0-63, one bit each.</summary>
    public ulong Low;

    /// <summary>CPUs 64-127, one bit each.</summary>
    public ulong High;

    /// <summary>Whether there is no CPU in it.</summary>
    public readonly bool IsEmpty => (Low | High) == 0;

    /// <summary>Whether a CPU is in it.</summary>
    public readonly bool Contains(int cpu) => ((cpu < 64 ? Low : High) >> (cpu & 63) & 1) != 0;

    /// <summary>Puts a CPU in.</summary>
    public void Add(int cpu)
    {
        if (cpu < 64)
        {
            Low |= 1UL << cpu;
        }
        else
        {
            High |= 1UL << (cpu & 63);
        }
    }

    /// <summary>Takes a CPU out.</summary>
    public void Remove(int cpu)
    {
        if (cpu < 64)
        {
            Low &= ~(1UL << cpu);
        }
        else
        {
            High &= ~(1UL << (cpu & 63));
        }
    }

    /// <summary>Takes the lowest CPU out of a set that is not empty.</summary>
    public int RemoveFirst()
    {
        if (Low != 0)
        {
            int cpu = BitOperations.TrailingZeroCount(Low);
            Low &= Low - 1;
            return cpu;
        }

        int high = BitOperations.TrailingZeroCount(High);
        High &= High - 1;
        return 64 + high;
    }
}

/// <summary>A set of CPUs that several CPUs change at the same time.</summary>
public struct CpuSetCells
{
    private ulong _low;
    private ulong _high;

    /// <summary>What is in it now.</summary>
    public readonly CpuSet Snapshot() => new() { Low = Volatile.Read(in _low), High = Volatile.Read(in _high) };

    /// <summary>Puts a CPU in; a full memory barrier.</summary>
    public void Add(int cpu) => Interlocked.Or(ref cpu < 64 ? ref _low : ref _high, 1UL << (cpu & 63));

    /// <summary>Takes a CPU out; a full memory barrier.</summary>
    public void Remove(int cpu) => Interlocked.And(ref cpu < 64 ? ref _low : ref _high, ~(1UL << (cpu & 63)));
}
