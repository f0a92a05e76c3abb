using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>The FIFO event channel ABI.</summary>
public sealed class FifoTests
{
    private readonly EventMachine _machine = new(1024);
    private readonly EventGuest _guest;
    private readonly FifoGuest _fifo;

    public FifoTests()
    {
        _guest = new EventGuest(_machine, 1, vcpus: 3, frames: 200, maximumPort: 100_000);
        _fifo = new FifoGuest(_guest);
    }

    private ulong Frame(int index) => _guest.Guest.Frames[index];

    private void Start()
    {
        _fifo.Initialize(0, Frame(0));
        _fifo.Initialize(1, Frame(1), 4096 - 72);
        _fifo.Expand(Frame(2));
        _machine.TakeNotified();
    }

    private uint Bind(uint vcpu, bool unmask = true)
    {
        Assert.Equal(0, _guest.BindIpi(vcpu, out uint port));
        if (unmask)
        {
            Assert.Equal(0, _guest.Unmask(port));
        }

        return port;
    }

    [Fact]
    public void ControlBlocksHaveToBeWellPlaced()
    {
        EventGuest other = new(_machine, 2);
        Assert.Equal(-Errno.ENOENT, _guest.InitializeControl(Frame(0), 0, 3, out _));
        Assert.Equal(-Errno.EINVAL, _guest.InitializeControl(Frame(0), 4096 - 71, 0, out _));
        Assert.Equal(-Errno.EINVAL, _guest.InitializeControl(Frame(0), uint.MaxValue, 0, out _));
        Assert.Equal(-Errno.EINVAL, _guest.InitializeControl(Frame(0), 4, 0, out _));
        Assert.Equal(-Errno.EINVAL, _guest.InitializeControl(other.Guest.Frames[0], 0, 0, out _));
        Assert.Equal(-Errno.EINVAL, _guest.InitializeControl(ulong.MaxValue, 0, 0, out _));
        Assert.False(_guest.Events.IsFifo);
        _fifo.Initialize(0, Frame(0));
        Assert.True(_guest.Events.IsFifo);
        Assert.Equal(-Errno.EINVAL, _guest.InitializeControl(Frame(1), 0, 0, out _));
        Assert.Equal(1UL, TestGuest.TypeCount(Frame(0)));
    }

    [Fact]
    public void TheArrayGrowsPageByPage()
    {
        Assert.Equal(-Errno.EOPNOTSUPP, _guest.ExpandArray(Frame(2)));
        _fifo.Initialize(0, Frame(0));
        Assert.Equal(-Errno.EINVAL, _guest.ExpandArray(0xffff_ffff));
        for (int i = 0; i < EventChannelFifo.ArrayPages; i++)
        {
            _fifo.Expand(Frame(2 + i));
        }

        Assert.Equal(-Errno.ENOSPC, _guest.ExpandArray(Frame(180)));
    }

    [Fact]
    public void AnEventIsLinkedToItsQueueAndNotifies()
    {
        Start();
        uint port = Bind(1);
        Assert.Equal(0, _guest.Send(port));
        Assert.Equal(port, _fifo.Head(1, EventChannelFifo.DefaultPriority));
        Assert.Equal(1u << EventChannelFifo.DefaultPriority, _fifo.Ready(1));
        Assert.True(_fifo.IsSet(port, EventChannelFifo.Linked));
        Assert.Equal(1, _guest.Info(1).EventPending);
        Assert.Equal([_guest.Domain.Vcpus[1]!], _machine.TakeNotified());
        Assert.Equal(0, _guest.Send(port));
        Assert.Empty(_machine.TakeNotified());
        Assert.Equal([port], _fifo.TakeEvents(1));
        Assert.Empty(_fifo.TakeEvents(1));
    }

    [Fact]
    public void EventsKeepTheirOrder()
    {
        Start();
        List<uint> ports = [];
        for (int i = 0; i < 50; i++)
        {
            ports.Add(Bind(1));
        }

        ports.Reverse();
        foreach (uint port in ports)
        {
            Assert.Equal(0, _guest.Send(port));
        }

        Assert.Equal(ports, _fifo.TakeEvents(1));
    }

    [Fact]
    public void PrioritiesGoFirst()
    {
        Start();
        uint slow = Bind(0);
        uint fast = Bind(0);
        Assert.Equal(-Errno.EINVAL, _guest.SetPriority(fast, 16));
        Assert.Equal(-Errno.EINVAL, _guest.SetPriority(70_000, 0));
        Assert.Equal(-Errno.EACCES, _guest.SetPriority(200, 0));
        Assert.Equal(0, _guest.SetPriority(fast, 0));
        Assert.Equal(0, _guest.Send(slow));
        Assert.Equal(0, _guest.Send(fast));
        Assert.Equal([fast, slow], _fifo.TakeEvents(0));
    }

    [Fact]
    public void PrioritiesAreOfThisAbiOnly()
    {
        Assert.Equal(0, _guest.BindIpi(0, out uint port));
        Assert.Equal(-Errno.ENOSYS, _guest.SetPriority(port, 1));
    }

    [Fact]
    public void MaskedEventsWaitForTheUnmask()
    {
        Start();
        uint port = Bind(1, unmask: false);
        Assert.Equal(0, _guest.Send(port));
        Assert.True(_fifo.IsSet(port, EventChannelFifo.Pending));
        Assert.False(_fifo.IsSet(port, EventChannelFifo.Linked));
        Assert.Empty(_machine.TakeNotified());
        Assert.Equal(1, _guest.Events.IsPending(port));
        Assert.Equal(0, _guest.Unmask(port));
        Assert.Equal([port], _fifo.TakeEvents(1));
    }

    [Fact]
    public void AMovedPortGoesToItsNewQueue()
    {
        Start();
        EventGuest other = new(_machine, 2);
        uint port = _guest.AllocateUnbound(2);
        Assert.Equal(0, other.BindInterdomain(1, port, out uint remote));
        Assert.Equal(0, _guest.Unmask(port));
        uint companion = Bind(0);
        Assert.Equal(0, other.Send(remote));
        Assert.Equal(0, _guest.Send(companion));
        Assert.Equal(0, _guest.BindVcpu(port, 1));

        // Still linked in the old queue: it is handled there.
        Assert.Equal(0, other.Send(remote));
        Assert.Equal([port, companion], _fifo.TakeEvents(0));
        Assert.Equal(0, other.Send(remote));
        Assert.Equal([port], _fifo.TakeEvents(1));
        Assert.Equal(0, _guest.Send(companion));
        Assert.Equal([companion], _fifo.TakeEvents(0));
    }

    [Fact]
    public void ATailThatMovesAwayEndsItsOldQueue()
    {
        Start();
        EventGuest other = new(_machine, 2);
        uint port = _guest.AllocateUnbound(2);
        Assert.Equal(0, other.BindInterdomain(1, port, out uint remote));
        Assert.Equal(0, _guest.Unmask(port));
        uint companion = Bind(0);
        Assert.Equal(0, other.Send(remote));
        Assert.Equal([port], _fifo.TakeEvents(0));
        Assert.Equal(0, _guest.BindVcpu(port, 1));
        Assert.Equal(0, other.Send(remote));
        Assert.Equal(0, _guest.Send(companion));
        Assert.Equal([companion], _fifo.TakeEvents(0));
        Assert.Equal([port], _fifo.TakeEvents(1));
    }

    [Fact]
    public void WhatIsPendingBeforeItsPageComesIsDeliveredThen()
    {
        Assert.Equal(0, _guest.BindIpi(0, out uint early));
        Assert.Equal(0, _guest.Send(early));
        _fifo.Initialize(0, Frame(0));
        Assert.Equal(0, _guest.BindIpi(0, out uint late));
        Assert.Equal(0, _guest.Send(late));
        _fifo.Expand(Frame(1), masked: false);
        List<uint> events = _fifo.TakeEvents(0);
        Assert.Equal([early, late], events);
    }

    [Fact]
    public void AVcpuWithoutControlBlockLosesTheEvent()
    {
        Start();
        uint port = Bind(2);
        Assert.Equal(0, _guest.Send(port));
        Assert.False(_fifo.IsSet(port, EventChannelFifo.Pending));
        Assert.Empty(_machine.TakeNotified());
    }

    [Fact]
    public void PollersHearOfMaskedEvents()
    {
        Start();
        uint port = Bind(0, unmask: false);
        Vcpu vcpu = _guest.Domain.Vcpus[1]!;
        vcpu.Schedule.PolledPort = port;
        _guest.Events.StartPolling(vcpu);
        Assert.Equal(0, _guest.Send(port));
        Assert.Equal([vcpu], _machine.TakeNotified());
    }

    [Fact]
    public void AClosedPortIsNotReusedWhileItIsInAQueue()
    {
        Start();
        uint port = Bind(0);
        Assert.Equal(0, _guest.Send(port));
        Assert.Equal(0, _guest.Close(port));
        uint next = Bind(0);
        Assert.NotEqual(port, next);
        Assert.Empty(_fifo.TakeEvents(0));
        Assert.Equal(port, Bind(0));
    }

    [Fact]
    public void PortsAboveTheTwoLevelLimitWork()
    {
        Start();
        for (int page = 0; page < 4; page++)
        {
            _fifo.Expand(Frame(3 + page));
        }

        uint last = 0;
        while (last < 5000)
        {
            Assert.Equal(0, _guest.BindIpi(1, out last));
        }

        Assert.Equal(0, _guest.Unmask(5000));
        Assert.Equal(0, _guest.Send(5000));
        Assert.Equal([5000u], _fifo.TakeEvents(1));
    }

    [Fact]
    public void ResetGoesBackToTheTwoLevelAbiAndReturnsThePages()
    {
        Start();
        uint port = Bind(0);
        Assert.Equal(0, _guest.Send(port));
        Assert.Equal(0, _guest.Reset());
        Assert.False(_guest.Events.IsFifo);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(0UL, TestGuest.TypeCount(Frame(i)));
            Assert.Equal(1UL, TestGuest.References(Frame(i)));
        }

        Assert.Equal(0, _guest.BindIpi(0, out uint again));
        Assert.Equal(0, _guest.Send(again));
        Assert.Equal([again], _guest.TakeEvents(0));
        FifoGuest second = new(_guest);
        second.Initialize(0, Frame(5));
        second.Expand(Frame(6));
    }

    [Fact]
    public void TeardownReturnsThePages()
    {
        Start();
        Assert.Equal(0, _guest.Send(Bind(0)));
        _guest.Destroy(_machine.Machine);
        Assert.Equal(FrameState.Free, FrameTable.Of(Frame(0)).State);
        Assert.Equal(FrameState.Free, FrameTable.Of(Frame(2)).State);
    }

    [Fact]
    public void HostileEventWordsDoNoHarm()
    {
        Start();
        System.Random random = new(7);
        List<uint> ports = [];
        for (int i = 0; i < 20; i++)
        {
            ports.Add(Bind((uint)i % 2));
        }

        for (int i = 0; i < 20_000; i++)
        {
            uint port = ports[random.Next(ports.Count)];
            switch (random.Next(6))
            {
                case 0:
                    _fifo.Word(port) = (uint)random.NextInt64();
                    break;
                case 1:
                    _fifo.Ready((uint)random.Next(2)) = (uint)random.NextInt64();
                    break;
                case 2:
                    _fifo.Head((uint)random.Next(2), random.Next(16)) = (uint)random.NextInt64();
                    break;
                case 3:
                    Assert.Equal(0, _guest.Unmask(port));
                    break;
                case 4:
                    Assert.Equal(0, _guest.SetPriority(port, (uint)random.Next(16)));
                    break;
                default:
                    Assert.Equal(0, _guest.Send(port));
                    break;
            }
        }

        Assert.Equal(0, _guest.Reset());
        _guest.Destroy(_machine.Machine);
    }
}
