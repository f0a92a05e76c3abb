using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Blanket.Lab.Configuration;

/// <summary>CPUs that a virtual CPU may run on, 0 to 255.</summary>
public sealed class CpuSet
{
    /// <summary>Highest CPU number plus one.</summary>
    public const int Capacity = Abi.BootBundleAffinity.Words * 64;

    private readonly bool[] _members;

    private CpuSet(bool[] members) => _members = members;

    /// <summary>The CPUs in ascending order.</summary>
    public IEnumerable<int> Cpus => Enumerable.Range(0, Capacity).Where(cpu => _members[cpu]);

    /// <summary>Whether every CPU is in the set.</summary>
    public bool IsEveryCpu => _members.All(member => member);

    /// <summary>Reads a CPULIST of xl.cfg(5) without NUMA nodes: <c>all</c>, <c>0-3,5,^1</c>.</summary>
    /// <returns>Null when the text is something else or leaves no CPU.</returns>
    public static CpuSet? TryParse(string text)
    {
        bool[] members = new bool[Capacity];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            bool exclude = part.StartsWith('^');
            if (TryParseRange(exclude ? part[1..] : part) is not var (first, last))
            {
                return null;
            }

            Array.Fill(members, !exclude, first, last - first + 1);
        }

        return members.Any(member => member) ? new CpuSet(members) : null;
    }

    /// <summary>The set as the hypervisor takes it.</summary>
    public Abi.BootBundleAffinity ToRecord()
    {
        Abi.BootBundleAffinity mask = default;
        foreach (int cpu in Cpus)
        {
            mask[cpu / 64] |= 1UL << (cpu % 64);
        }

        return mask;
    }

    private static (int First, int Last)? TryParseRange(string text)
    {
        if (text == "all")
        {
            return (0, Capacity - 1);
        }

        string[] ends = text.Split('-');
        if (ends.Length > 2 || !TryParseCpu(ends[0], out int first) || !TryParseCpu(ends[^1], out int last) || last < first)
        {
            return null;
        }

        return (first, last);
    }

    private static bool TryParseCpu(string text, out int cpu) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out cpu) && cpu < Capacity;
}
