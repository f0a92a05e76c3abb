using System;
using System.Linq;
using Blanket.Drivers.Tests.Fakes;

namespace Blanket.Drivers.Tests;

public sealed class EntropyTests
{
    private readonly FakeMachine _machine = new();

    public static TheoryData<FakeVirtioOptions> Kinds => new()
    {
        new FakeVirtioOptions(),
        new FakeVirtioOptions { IsLegacy = true, QueueSize = 8 },
        new FakeVirtioOptions { Vectors = 0 },
    };

    private (FakeEntropyDevice Device, EntropySource Source) Start(FakeVirtioOptions options)
    {
        FakeEntropyDevice device = new(_machine, options);
        _machine.Probe();
        _machine.Interrupts.Deliver();
        return (device, _machine.Found.Entropy(0));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void EveryByteIsGivenOnce(FakeVirtioOptions options)
    {
        (_, EntropySource source) = Start(options);
        byte[] all = new byte[200];
        int done = 0;
        for (int i = 0; done < all.Length && i < 100; i++)
        {
            done += source.TryTake(all.AsSpan(done, Math.Min(24, all.Length - done)));
            _machine.Interrupts.Deliver();
        }

        Assert.Equal(Enumerable.Range(1, 200).Select(i => (byte)i), all);
    }

    [Fact]
    public void NothingIsAtHandWhileTheDeviceIsSlow()
    {
        (FakeEntropyDevice device, EntropySource source) = Start(new FakeVirtioOptions());
        device.IsAutomatic = false;
        byte[] bytes = new byte[256];
        Assert.Equal(64, source.TryTake(bytes));
        Assert.Equal(0, source.TryTake(bytes));
        Assert.Equal(0, source.TryTake(bytes));
        device.Process(0);
        Assert.Equal(64, source.TryTake(bytes));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(257u)]
    [InlineData(uint.MaxValue)]
    public void WrongLengthsGiveNothing(uint length)
    {
        (FakeEntropyDevice device, EntropySource source) = Start(new FakeVirtioOptions());
        byte[] bytes = new byte[256];
        device.ForcedLength = length;
        Assert.Equal(64, source.TryTake(bytes));
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(0, source.TryTake(bytes));
            _machine.Interrupts.Deliver();
        }

        device.ForcedLength = null;
        source.TryTake(bytes);
        Assert.Equal(64, source.TryTake(bytes));
        Assert.InRange(_machine.LogText.Lines, 4, 14);
    }

    [Fact]
    public void ABrokenRingIsReset()
    {
        (FakeEntropyDevice device, EntropySource source) = Start(new FakeVirtioOptions());
        device.IsAutomatic = false;
        byte[] bytes = new byte[256];
        source.TryTake(bytes);
        device.Queues[0].PushRaw(9, 1);
        Assert.Equal(0, source.TryTake(bytes));
        device.IsAutomatic = true;
        _machine.Interrupts.Deliver();
        Assert.Equal(2, device.Resets);
        Assert.Equal(64, source.TryTake(bytes));
    }
}
