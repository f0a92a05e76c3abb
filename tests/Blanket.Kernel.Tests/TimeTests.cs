using System;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Time;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Kernel.Tests;

public class TimeTests
{
    private sealed class FakeCounter(ulong frequency, uint mask, Func<uint> read) : ReferenceCounter
    {
        internal override ulong Frequency => frequency;

        internal override uint Mask => mask;

        internal override uint Read() => read();
    }

    private sealed class FakeClockPorts(byte[] registers) : SimulatedPorts
    {
        private byte _index;

        internal int ReadsDuringUpdate;

        internal Action<int> OnRead { get; init; } = _ => { };

        public override void Write8(ushort port, byte value)
        {
            if (port == 0x70)
            {
                _index = value;
            }
        }

        public override byte Read8(ushort port)
        {
            if (port != 0x71)
            {
                return 0xff;
            }

            OnRead(_index);
            if (_index == 0x0a && ReadsDuringUpdate > 0)
            {
                ReadsDuringUpdate--;
                return 0x80;
            }

            return registers[_index];
        }
    }

    private static byte[] ClockRegisters(byte hours, byte statusB) =>
        [0x59, 0, 0x07, 0, hours, 0, 0, 0x29, 0x02, 0x24, 0x26, statusB, 0, 0, 0, 0, .. new byte[0x30]];

    private static ulong Seconds(DateTime time) => (ulong)(time - DateTime.UnixEpoch).TotalSeconds;

    [Property]
    public void DatesMatchTheCalendar(uint seed)
    {
        DateTime time = DateTime.UnixEpoch.AddSeconds(seed * 1.5);
        Assert.True(CalendarTime.TryToSeconds(time.Year, time.Month, time.Day, time.Hour, time.Minute, time.Second, out ulong seconds));
        Assert.Equal(Seconds(new DateTime(time.Year, time.Month, time.Day, time.Hour, time.Minute, time.Second)), seconds);
    }

    [Theory]
    [InlineData(1969, 12, 31, 0)]
    [InlineData(2023, 2, 29, 0)]
    [InlineData(2024, 13, 1, 0)]
    [InlineData(2024, 0, 1, 0)]
    [InlineData(2024, 4, 31, 0)]
    [InlineData(2024, 4, 0, 0)]
    [InlineData(2024, 4, 30, 24)]
    [InlineData(2100, 2, 29, 0)]
    public void DatesThatDoNotExistAreRefused(int year, int month, int day, int hour) =>
        Assert.False(CalendarTime.TryToSeconds(year, month, day, hour, 0, 0, out _));

    [Theory]
    [InlineData(0x23, 0x02, 23)]
    [InlineData(0x91, 0x00, 23)]
    [InlineData(0x12, 0x00, 0)]
    [InlineData(0x92, 0x00, 12)]
    public void TheClockIsReadInDecimalDigits(byte hours, byte mode, int expectedHour)
    {
        SimulatedPorts.Current = new FakeClockPorts(ClockRegisters(hours, mode)) { ReadsDuringUpdate = 3 };
        Assert.True(RealTimeClock.TryRead(0, out ulong seconds));
        Assert.Equal(Seconds(new DateTime(2024, 2, 29, expectedHour, 7, 59)), seconds);
        SimulatedPorts.Current = new SimulatedPorts();
    }

    [Fact]
    public void TheClockIsReadInBinaryWithACentury()
    {
        byte[] registers = new byte[0x40];
        (registers[0], registers[2], registers[4]) = (30, 45, 17);
        (registers[7], registers[8], registers[9]) = (31, 12, 99);
        (registers[0x0b], registers[0x32]) = (6, 21);
        SimulatedPorts.Current = new FakeClockPorts(registers);
        Assert.True(RealTimeClock.TryRead(0x32, out ulong seconds));
        Assert.Equal(Seconds(new DateTime(2199, 12, 31, 17, 45, 30)), seconds);
        SimulatedPorts.Current = new SimulatedPorts();
    }

    [Fact]
    public void AReadingThatAnUpdateTearsIsRepeated()
    {
        byte[] registers = ClockRegisters(0x23, 2);
        int reads = 0;
        SimulatedPorts.Current = new FakeClockPorts(registers)
        {
            // After the seconds of the first reading the minute rolls over.
            OnRead = index =>
            {
                if (index == 2 && reads++ == 0)
                {
                    (registers[0], registers[2]) = (0x00, 0x08);
                }
            },
        };
        Assert.True(RealTimeClock.TryRead(0, out ulong seconds));
        Assert.Equal(Seconds(new DateTime(2024, 2, 29, 23, 8, 0)), seconds);
        SimulatedPorts.Current = new SimulatedPorts();
    }

    [Fact]
    public void WithoutAClockThereIsNoTime()
    {
        SimulatedPorts.Current = new SimulatedPorts();
        Assert.False(RealTimeClock.TryRead(0, out _));
    }

    [Theory]
    [InlineData(2_096_016_000ul, 100_000_000u, 100_000_000ul, 2_096_016ul)]
    [InlineData(60_000_000ul, 71_591u, 3_579_545ul, 2_999_996ul)]
    public void FrequenciesAreComputed(ulong ticks, uint reference, ulong frequency, ulong expected)
    {
        Assert.True(TscCalibration.TryCompute(ticks, reference, frequency, out ulong kilohertz));
        Assert.Equal(expected, kilohertz);
    }

    [Fact]
    public void UnbelievableFrequenciesAreRefused()
    {
        Assert.False(TscCalibration.TryCompute(1000, 0, 1000, out _));
        Assert.False(TscCalibration.TryCompute(1000, 1000, 1000, out _));
        Assert.False(TscCalibration.TryCompute(ulong.MaxValue, 1, 100, out _));
        Assert.False(TscCalibration.TryCompute(1_000_000_000_000, 1, 1_000_000, out _));
    }

    [Fact]
    public void ACounterThatWrapsIsMeasured()
    {
        // The simulated TSC advances by one with each read; the counter with each of its own.
        uint counter = 0xfffff0;
        FakeCounter fake = new(50_000_000, 0xffffff, () => unchecked(counter += 1) | 0xff000000);
        Assert.True(TscCalibration.TryMeasure(fake, out ulong kilohertz));
        Assert.InRange(kilohertz, 49_000ul, 51_000ul);
    }

    [Theory]
    [InlineData(2_147_483_648u, 0, 2_000_000ul)]
    [InlineData(4_098_093_856u, -1, 2_096_080ul)]
    [InlineData(2_863_311_530u, 2, 375_000ul)]
    public void KvmsScaleTellsTheFrequency(uint multiplier, sbyte shift, ulong expected)
    {
        Assert.True(KvmClock.TryGetKilohertz(multiplier, shift, out ulong kilohertz));
        Assert.InRange(kilohertz, expected - 10, expected + 10);
    }

    [Fact]
    public void ScalesThatMakeNoSenseAreRefused()
    {
        Assert.False(KvmClock.TryGetKilohertz(0, 0, out _));
        Assert.False(KvmClock.TryGetKilohertz(1, 64, out _));
        Assert.False(KvmClock.TryGetKilohertz(1, -20, out _));
        Assert.False(KvmClock.TryGetKilohertz(uint.MaxValue, 20, out _));
    }

    [Theory]
    [InlineData(TimerDevice.Never, TimerDevice.Never, false)] // Off, and nothing is wanted.
    [InlineData(TimerDevice.Never, 200ul, true)]
    [InlineData(200ul, 200ul, false)]
    [InlineData(200ul, 150ul, true)]
    [InlineData(200ul, 100ul, true)] // Due now.
    [InlineData(200ul, 300ul, false)] // Fires early, and is set anew then.
    [InlineData(200ul, TimerDevice.Never, false)]
    [InlineData(100ul, 200ul, true)] // Its time has come: it may have fired already.
    [InlineData(90ul, TimerDevice.Never, true)]
    [InlineData(90ul, 90ul, false)] // Its interrupt is on its way.
    public void TimersAreSetWhenTheyWouldFireTooLate(ulong armed, ulong deadline, bool mustSet) =>
        Assert.Equal(mustSet, TimerDevice.MustSet(armed, deadline, now: 100));

    [Property]
    public void TimerCountsAreNeverEarly(uint nanoseconds, ushort megahertz)
    {
        ulong wait = nanoseconds % 1_000_000_000;
        ulong multiplier = ((ulong)megahertz << 22) / 1000;
        ulong exact = (ulong)((UInt128)wait * multiplier >> 22);
        Assert.Equal(exact + 1, TimerDevice.CountOf(wait, multiplier));
    }

    [Fact]
    public void TheHpetIsStartedAndRead()
    {
        FakeRegisters registers = new();
        registers.Values[4] = 10_000_000;
        HpetCounter? counter = HpetCounter.Create(new DeviceRegisters(registers, 0x400));
        Assert.NotNull(counter);
        Assert.Equal(100_000_000ul, counter.Frequency);
        Assert.Equal(1ul, registers.Values[0x10]);
        registers.Values[0xf0] = 12345;
        Assert.Equal(12345u, counter.Read());
        registers.Values[4] = 0;
        Assert.Null(HpetCounter.Create(new DeviceRegisters(registers, 0x400)));
        registers.Values[4] = uint.MaxValue;
        Assert.Null(HpetCounter.Create(new DeviceRegisters(registers, 0x400)));
    }
}
