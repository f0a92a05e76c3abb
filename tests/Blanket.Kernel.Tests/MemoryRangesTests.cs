using System.Collections.Generic;
using Blanket.Kernel.Platform;
using FsCheck.Xunit;

namespace Blanket.Kernel.Tests;

/// <summary>MemoryRanges against a set of single addresses.</summary>
public class MemoryRangesTests
{
    private const int Universe = 256;

    private static PhysicalRange Range(byte a, byte b) =>
        new(System.Math.Min(a, b), System.Math.Max(a, b));

    private static void AssertSame(HashSet<ulong> model, in MemoryRanges ranges)
    {
        HashSet<ulong> actual = [];
        for (int i = 0; i < ranges.Count; i++)
        {
            Assert.False(ranges[i].IsEmpty);
            Assert.True(i == 0 || ranges[i - 1].End < ranges[i].Start);
            for (ulong address = ranges[i].Start; address < ranges[i].End; address++)
            {
                actual.Add(address);
            }
        }

        Assert.True(model.SetEquals(actual));
        Assert.Equal((ulong)model.Count, ranges.TotalLength);
    }

    [Property]
    public void AddAndRemoveMatchASet((bool Add, byte A, byte B)[] steps)
    {
        HashSet<ulong> model = [];
        MemoryRanges ranges = default;
        foreach ((bool add, byte a, byte b) in steps)
        {
            PhysicalRange range = Range(a, b);
            Assert.True(add ? ranges.TryAdd(range) : ranges.Remove(range));
            for (ulong address = range.Start; address < range.End; address++)
            {
                _ = add ? model.Add(address) : model.Remove(address);
            }
        }

        AssertSame(model, in ranges);
    }

    [Property]
    public void CoversAndOverlapsMatchASet((byte A, byte B)[] steps, byte c, byte d)
    {
        HashSet<ulong> model = [];
        MemoryRanges ranges = default;
        foreach ((byte a, byte b) in steps)
        {
            PhysicalRange range = Range(a, b);
            Assert.True(ranges.TryAdd(range));
            for (ulong address = range.Start; address < range.End; address++)
            {
                model.Add(address);
            }
        }

        PhysicalRange asked = Range(c, d);
        bool all = !asked.IsEmpty, any = false;
        for (ulong address = asked.Start; address < asked.End; address++)
        {
            all &= model.Contains(address);
            any |= model.Contains(address);
        }

        Assert.Equal(all, ranges.Covers(asked));
        Assert.Equal(any, ranges.Overlaps(asked));
    }

    [Property]
    public void TakeGivesTheHighestBlock((byte A, byte B)[] steps, byte lengthSeed, byte alignmentSeed, byte limit)
    {
        ulong length = 1UL + (lengthSeed & 31u);
        ulong alignment = 1UL << (alignmentSeed & 5);
        HashSet<ulong> model = [];
        MemoryRanges ranges = default;
        foreach ((byte a, byte b) in steps)
        {
            PhysicalRange range = Range(a, b);
            Assert.True(ranges.TryAdd(range));
            for (ulong address = range.Start; address < range.End; address++)
            {
                model.Add(address);
            }
        }

        bool expected = false;
        ulong best = 0;
        for (ulong start = 0; start + length <= limit && start < Universe; start += alignment)
        {
            bool fits = true;
            for (ulong address = start; address < start + length; address++)
            {
                fits &= model.Contains(address);
            }

            if (fits)
            {
                expected = true;
                best = start;
            }
        }

        Assert.Equal(expected, ranges.TryTake(length, alignment, limit, out ulong taken));
        if (expected)
        {
            Assert.Equal(best, taken);
            model.RemoveWhere(address => address >= taken && address < taken + length);
        }

        AssertSame(model, in ranges);
    }

    [Fact]
    public void AFullSetNeverClaimsWhatIsNotThere()
    {
        MemoryRanges ranges = default;
        for (ulong i = 0; i < MemoryRanges.Capacity; i++)
        {
            Assert.True(ranges.TryAdd(new PhysicalRange(i * 10, i * 10 + 5)));
        }

        Assert.False(ranges.TryAdd(new PhysicalRange(5000, 5005)));
        Assert.Equal(MemoryRanges.Capacity * 5UL, ranges.TotalLength);

        // Splitting keeps the larger part only; joining makes room again.
        Assert.False(ranges.Remove(new PhysicalRange(1, 2)));
        Assert.False(ranges.Overlaps(new PhysicalRange(0, 2)));
        Assert.True(ranges.Covers(new PhysicalRange(2, 5)));
        Assert.True(ranges.TryAdd(new PhysicalRange(5, 10)));
        Assert.True(ranges.TryAdd(new PhysicalRange(5000, 5005)));
    }

    [Theory]
    [InlineData(0ul, 0x1000ul, 0ul, 0x1000ul)]
    [InlineData(1ul, 0x1000ul, 0ul, 0ul)]
    [InlineData(0x1001ul, 0x2fffUL, 0x2000ul, 0x4000ul)]
    [InlineData(0xffffffffffff0000ul, 0x20000ul, 0ul, 0ul)]
    [InlineData(0x1000ul, ulong.MaxValue, 0x1000ul, PhysicalRange.AddressLimit)]
    public void UsableRangesAreRoundedInwards(ulong start, ulong length, ulong expectedStart, ulong expectedEnd)
    {
        PhysicalRange pages = PhysicalRange.OfLength(start, length).WholePages();
        Assert.Equal(expectedStart, pages.Start);
        Assert.Equal(expectedEnd, pages.End);
    }

    [Theory]
    [InlineData(0x1fffUL, 2ul, 0x1000ul, 0x3000ul)]
    [InlineData(0x1000ul, 0ul, 0ul, 0ul)]
    [InlineData(PhysicalRange.AddressLimit - 1, ulong.MaxValue, PhysicalRange.AddressLimit - 0x1000, PhysicalRange.AddressLimit)]
    public void ReservedRangesAreRoundedOutwards(ulong start, ulong length, ulong expectedStart, ulong expectedEnd)
    {
        PhysicalRange pages = PhysicalRange.OfLength(start, length).TouchedPages();
        Assert.Equal(expectedStart, pages.Start);
        Assert.Equal(expectedEnd, pages.End);
    }
}
