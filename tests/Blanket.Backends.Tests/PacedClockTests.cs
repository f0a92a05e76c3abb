using System;
using FsCheck.Xunit;
using Xunit;

namespace Blanket.Backends.Tests;

public sealed class PacedClockTests
{
    private const uint LargestPacket = 65_535;

    [Property]
    public void No_more_goes_in_any_time_than_its_units_a_burst_and_the_last_that_began(int seed)
    {
        Random random = new(seed);
        ulong units = (ulong)random.Next(1, 300_000);
        uint microseconds = (uint)random.Next(1, 100_000);
        PacedClock clock = PacedClock.FromInterval(units, microseconds);
        ulong start = (ulong)random.Next();
        ulong now = start;
        double total = 0;
        for (int i = 0; i < 300; i++)
        {
            now += (ulong)random.Next(60_000_000);
            uint taken = (uint)random.Next(14, (int)LargestPacket);
            if (clock.MayBegin(now))
            {
                clock.Take(taken, now);
                total += taken;
            }
            else
            {
                Assert.True(clock.Resume > now);
            }

            double intervals = (now - start) / (microseconds * 1000.0);
            Assert.True(total <= (units * (intervals + 1)) + LargestPacket);
        }
    }

    /// <summary>Whoever always has something to send loses nothing by waking late, up to most of a burst.</summary>
    [Property]
    public void One_who_wakes_late_gets_the_whole_rate(int seed)
    {
        const ulong Seconds = 20;
        const ulong Second = 1_000_000_000;
        Random random = new(seed);
        uint microseconds = (uint)random.Next(20_000, 100_000);
        ulong units = (ulong)random.Next(100_000, 2_000_000);
        PacedClock clock = PacedClock.FromInterval(units, microseconds);
        ulong latest = microseconds * 1000ul / 8 * 6;
        double total = 0;
        ulong now = Second;
        while (now < (Seconds + 1) * Second)
        {
            while (clock.MayBegin(now))
            {
                uint taken = (uint)random.Next(14, (int)LargestPacket);
                clock.Take(taken, now);
                total += taken;
            }

            now = clock.Resume + (ulong)random.NextInt64((long)latest);
        }

        double rate = units * 1e6 / microseconds;
        Assert.InRange(total / (rate * Seconds), 0.99, 1.02);
    }

    [Fact]
    public void The_largest_packet_gets_its_turn()
    {
        PacedClock clock = PacedClock.FromInterval(100, 1000);
        Assert.True(clock.MayBegin(0));
        clock.Take(LargestPacket, 0);
        Assert.False(clock.MayBegin(654ul * 1_000_000 - 1));
        Assert.True(clock.MayBegin(655ul * 1_000_000));
    }

    [Theory]
    [InlineData(0ul, 0u)]
    [InlineData(0ul, 1u)]
    [InlineData(1ul, 0u)]
    public void Nothing_is_no_limit(ulong units, uint microseconds) => Assert.False(PacedClock.FromInterval(units, microseconds).IsLimited);

    [Theory]
    [InlineData(ulong.MaxValue, 1u)]
    [InlineData(1ul, uint.MaxValue)]
    public void The_largest_and_the_smallest_rate_are_rates(ulong units, uint microseconds)
    {
        PacedClock clock = PacedClock.FromInterval(units, microseconds);
        Assert.True(clock.IsLimited);
        clock.Take(uint.MaxValue, 0);
        Assert.Equal(units == 1, !clock.MayBegin(1));
    }
}
