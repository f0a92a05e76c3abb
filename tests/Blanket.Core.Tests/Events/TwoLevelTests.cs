using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>Delivery through the bitmaps of the shared info page.</summary>
public sealed class TwoLevelTests
{
    private readonly EventMachine _machine = new();
    private readonly EventGuest _guest;
    private readonly uint _port;

    public TwoLevelTests()
    {
        _guest = new EventGuest(_machine, 1, vcpus: 2);
        Assert.Equal(0, _guest.BindIpi(1, out _port));
        _machine.TakeNotified();
    }

    private Vcpu Target => _guest.Domain.Vcpus[1]!;

    [Fact]
    public void AnEventSetsPendingSelectorAndUpcallOnceAndNotifies()
    {
        Assert.Equal(0, _guest.Send(_port));
        Assert.True(_guest.IsPendingBit(_port));
        Assert.Equal(1UL, _guest.Info(1).PendingSelector);
        Assert.Equal(1, _guest.Info(1).EventPending);
        Assert.Equal(0, _guest.Info(0).EventPending);
        Assert.Equal([Target], _machine.TakeNotified());
        Assert.Equal(0, _guest.Send(_port));
        Assert.Empty(_machine.TakeNotified());
    }

    [Fact]
    public void AnEventOfAHighPortSetsItsWordsSelectorBit()
    {
        uint port = _port;
        while (port < 4095)
        {
            Assert.Equal(0, _guest.BindIpi(0, out port));
        }

        Assert.Equal(0, _guest.Send(4095));
        Assert.Equal(1UL << 63, _guest.Info(0).PendingSelector);
        Assert.Equal([4095u], _guest.TakeEvents(0));
    }

    [Fact]
    public void AMaskedPortOnlyBecomesPending()
    {
        _guest.Mask(_port);
        Assert.Equal(0, _guest.Send(_port));
        Assert.True(_guest.IsPendingBit(_port));
        Assert.Equal(0UL, _guest.Info(1).PendingSelector);
        Assert.Equal(0, _guest.Info(1).EventPending);
        Assert.Empty(_machine.TakeNotified());
    }

    [Fact]
    public void UnmaskingDeliversWhatIsPending()
    {
        _guest.Mask(_port);
        Assert.Equal(0, _guest.Send(_port));
        Assert.Equal(0, _guest.Unmask(_port));
        Assert.False(_guest.IsMasked(_port));
        Assert.Equal([Target], _machine.TakeNotified());
        Assert.Equal([_port], _guest.TakeEvents(1));
    }

    [Fact]
    public void UnmaskingWithNothingPendingDoesNothing()
    {
        _guest.Mask(_port);
        Assert.Equal(0, _guest.Unmask(_port));
        Assert.Equal(0, _guest.Unmask(_port));
        Assert.Empty(_machine.TakeNotified());
        Assert.Equal(-Errno.EINVAL, _guest.Unmask(4000));
        Assert.Equal(0, _guest.Unmask(100));
    }

    [Fact]
    public void AnUpcallThatIsPendingAlreadyNotifiesNobody()
    {
        _guest.Info(1).EventPending = 1;
        Assert.Equal(0, _guest.Send(_port));
        Assert.Equal(1UL, _guest.Info(1).PendingSelector);
        Assert.Empty(_machine.TakeNotified());
    }

    [Fact]
    public void TheUpcallMaskIsLeftAlone()
    {
        Assert.Equal(1, _guest.Info(1).EventMask);
        Assert.Equal(0, _guest.Send(_port));
        Assert.Equal(1, _guest.Info(1).EventMask);
    }

    [Fact]
    public void APollerIsNotifiedAlsoOfAMaskedPort()
    {
        _guest.Mask(_port);
        Target.Schedule.PolledPort = _port;
        _guest.Events.StartPolling(Target);
        Assert.Equal(0, _guest.Events.IsPending(_port));
        Assert.Equal(0, _guest.Send(_port));
        Assert.Equal(1, _guest.Events.IsPending(_port));
        Assert.Equal([Target], _machine.TakeNotified());
        _guest.ClearPendingBit(_port);
        Assert.Equal(0, _guest.Send(_port));
        Assert.Empty(_machine.TakeNotified());
    }

    [Fact]
    public void APollerOfAnotherPortSleepsOn()
    {
        Assert.Equal(0, _guest.BindIpi(0, out uint other));
        _guest.Mask(_port);
        _guest.Mask(other);
        Target.Schedule.PolledPort = other;
        _guest.Events.StartPolling(Target);
        Assert.Equal(0, _guest.Send(_port));
        Assert.Empty(_machine.TakeNotified());
        Assert.Equal(0, _guest.Send(other));
        Assert.Equal([Target], _machine.TakeNotified());
    }

    [Fact]
    public void APollerOfSeveralPortsIsNotifiedOfAny()
    {
        _guest.Mask(_port);
        Target.Schedule.PolledPort = uint.MaxValue;
        _guest.Events.StartPolling(Target);
        _guest.Events.StopPolling(Target);
        Assert.Equal(0, _guest.Send(_port));
        Assert.Empty(_machine.TakeNotified());
        _guest.ClearPendingBit(_port);
        _guest.Events.StartPolling(Target);
        Assert.Equal(0, _guest.Send(_port));
        Assert.Equal([Target], _machine.TakeNotified());
    }

    [Fact]
    public void PollingAPortThatIsNotInUseIsAnError()
    {
        Assert.Equal(-Errno.EINVAL, _guest.Events.IsPending(0));
        Assert.Equal(-Errno.EINVAL, _guest.Events.IsPending(9));
        Assert.Equal(-Errno.EINVAL, _guest.Events.IsPending(uint.MaxValue));
    }

    [Fact]
    public void ClosingClearsPending()
    {
        Assert.Equal(0, _guest.Send(_port));
        Assert.Equal(0, _guest.Close(_port));
        Assert.False(_guest.IsPendingBit(_port));
    }

    [Fact]
    public void NothingBesideTheBitmapsIsTouched()
    {
        List<uint> ports = [];
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(0, _guest.BindIpi((uint)i % 2, out uint port));
            ports.Add(port);
        }

        foreach (uint port in ports)
        {
            Assert.Equal(0, _guest.Send(port));
        }

        System.Span<byte> page = PhysicalMemory.Frame(_guest.Domain.SharedInfoFrame);
        for (int i = 2 * VcpuInfo.Size; i < page.Length; i++)
        {
            bool isVcpuMask = i < SharedInfo.EventPendingOffset && i % VcpuInfo.Size == VcpuInfo.EventMaskOffset;
            bool isPending = i is >= SharedInfo.EventPendingOffset and < SharedInfo.EventPendingOffset + 32;
            Assert.True(isPending || isVcpuMask || page[i] == 0, $"byte {i} was changed");
        }
    }
}
