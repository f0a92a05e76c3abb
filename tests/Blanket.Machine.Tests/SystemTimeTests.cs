using System;
using System.Numerics;
using FsCheck.Xunit;

namespace Blanket.Machine.Tests;

[Collection("machine")]
public class SystemTimeTests
{
    [Property]
    public void TheScaleIsExactToAPartInABillion(uint kilohertz, ulong ticks)
    {
        ulong frequency = Math.Max(1_000, kilohertz % 6_000_000);
        ticks %= frequency * 1000 * 3600 * 24;
        SystemTime.Initialize(frequency, 1_000_000);
        BigInteger exact = new BigInteger(ticks) * 1_000_000 / frequency;
        BigInteger difference = BigInteger.Abs(exact - SystemTime.FromTsc(1_000_000 + ticks));
        Assert.True(difference <= exact / 500_000_000 + 2, $"{frequency} kHz, {ticks} ticks: off by {difference} ns of {exact}");
    }

    [Property]
    public void DeadlinesAreNotEarly(uint kilohertz, uint nanoseconds)
    {
        SystemTime.Initialize(Math.Max(1_000, kilohertz % 6_000_000), 5);
        ulong reached = SystemTime.FromTsc(SystemTime.ToTsc(nanoseconds));
        ulong tick = 1_000_000 / SystemTime.TscKilohertz + 2;
        Assert.InRange((long)reached - nanoseconds, -(long)tick - nanoseconds / 400_000_000, (long)tick);
    }

    [Fact]
    public void ATimeBeforeBootIsZero()
    {
        SystemTime.Initialize(2_000_000, 500);
        Assert.Equal(0UL, SystemTime.FromTsc(499));
    }

    [Fact]
    public void AFarDeadlineIsNever()
    {
        SystemTime.Initialize(3_000_000, 0);
        Assert.Equal(ulong.MaxValue, SystemTime.ToTsc(ulong.MaxValue));
    }
}
