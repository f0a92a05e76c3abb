using System;
using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Core.Events;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>Channels between guests and the built-in services.</summary>
public sealed class ServiceChannelTests
{
    private readonly EventMachine _machine = new();
    private readonly EventGuest _guest;

    public ServiceChannelTests()
    {
        _guest = new EventGuest(_machine, 1);
    }

    private sealed class Counter : ServiceChannelHandler
    {
        public int Calls { get; private set; }

        public Action? During { get; set; }

        public override void Raised()
        {
            Calls++;
            During?.Invoke();
        }
    }

    private ServiceChannel Open(Counter counter, out uint port)
    {
        Assert.Equal(0, ServiceChannels.AllocateUnbound(_guest.Domain, out port));
        Assert.Equal(0, ServiceChannels.TryBind(_guest.Domain, port, counter, out ServiceChannel channel));
        ServiceChannels.RunPending();
        return channel;
    }

    [Fact]
    public void AnAllocatedPortWaitsForTheServices()
    {
        Assert.Equal(0, ServiceChannels.AllocateUnbound(_guest.Domain, out uint port));
        Assert.Equal(EventChannelStatus.Unbound, _guest.Status(port).Status);
        Assert.Equal(DomainId.Services, _guest.Status(port).RemoteDomain);
        Assert.Equal(0, _guest.Send(port));
    }

    /// <summary>Who pays when a handler fails: the guest whose event it works on.</summary>
    [Fact]
    public void AHandlerServesTheGuestOfItsChannel()
    {
        List<Core.Domains.Domain?> served = [];
        Counter counter = new() { During = () => served.Add(ServiceChannels.Served) };
        Assert.Null(ServiceChannels.Served);
        Open(counter, out _);
        Assert.Equal([_guest.Domain], served);
        Assert.Null(ServiceChannels.Served);
    }

    [Fact]
    public void BindingConnectsAndRaisesOnce()
    {
        Counter counter = new();
        ServiceChannel channel = Open(counter, out uint port);
        Assert.Equal(1, counter.Calls);
        Assert.True(channel.IsConnected);
        Assert.Equal(port, channel.GuestPort);
        Assert.Equal(EventChannelStatus.Interdomain, _guest.Status(port).Status);
        Assert.Equal(DomainId.Services, _guest.Status(port).RemoteDomain);
        Assert.Equal(1, ServiceChannels.OpenChannels);
    }

    [Fact]
    public void BindingToAPortThatTheGuestAllocatedForTheServicesWorks()
    {
        uint port = _guest.AllocateUnbound(DomainId.Services);
        Assert.Equal(0, ServiceChannels.TryBind(_guest.Domain, port, new Counter(), out _));
    }

    [Fact]
    public void BindingToAnythingElseIsAnErrorAndLeavesNothing()
    {
        uint forAnother = _guest.AllocateUnbound(2);
        Assert.Equal(0, _guest.BindIpi(0, out uint ipi));
        foreach (uint port in new[] { 0u, forAnother, ipi, 200u, uint.MaxValue })
        {
            Assert.Equal(-Errno.EINVAL, ServiceChannels.TryBind(_guest.Domain, port, new Counter(), out ServiceChannel channel));
            Assert.False(channel.IsConnected);
        }

        Assert.Equal(0, ServiceChannels.OpenChannels);
        Assert.Equal(EventChannelStatus.Unbound, _guest.Status(forAnother).Status);
    }

    [Fact]
    public void EventsOfTheGuestAreDeliveredLaterAndOnce()
    {
        Counter counter = new();
        Open(counter, out uint port);
        PendingWork.Exists = false;
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(0, _guest.Guest.Domain.Events!.Send(port));
        }

        Assert.Equal(1, counter.Calls);
        Assert.True(PendingWork.Exists);
        ServiceChannels.RunPending();
        Assert.Equal(2, counter.Calls);
        ServiceChannels.RunPending();
        Assert.Equal(2, counter.Calls);
    }

    [Fact]
    public void ChannelsAreServedInTheOrderOfTheirEvents()
    {
        List<int> order = [];
        List<uint> ports = [];
        for (int i = 0; i < 5; i++)
        {
            int number = i;
            Counter counter = new();
            Open(counter, out uint port);
            counter.During = () => order.Add(number);
            ports.Add(port);
        }

        foreach (int index in new[] { 3, 1, 4, 1, 0 })
        {
            Assert.Equal(0, _guest.Send(ports[index]));
        }

        ServiceChannels.RunPending();
        Assert.Equal([3, 1, 4, 0], order);
    }

    [Fact]
    public void AnEventWhileTheHandlerRunsCallsItAgain()
    {
        Counter counter = new();
        Open(counter, out uint port);
        int sends = 2;
        counter.During = () =>
        {
            if (sends-- > 0)
            {
                Assert.Equal(0, _guest.Events.Send(port));
            }
        };
        Assert.Equal(0, _guest.Send(port));
        ServiceChannels.RunPending();
        Assert.Equal(2, counter.Calls);
        Assert.True(PendingWork.Exists);
        ServiceChannels.RunPending();
        ServiceChannels.RunPending();
        ServiceChannels.RunPending();
        Assert.Equal(4, counter.Calls);
    }

    [Fact]
    public void NotifyingRaisesTheGuestsPort()
    {
        ServiceChannel channel = Open(new Counter(), out uint port);
        channel.Notify();
        Assert.Equal([port], _guest.TakeEvents(0));
    }

    [Fact]
    public void AGuestThatClosesDisconnects()
    {
        Counter counter = new();
        ServiceChannel channel = Open(counter, out uint port);
        Assert.Equal(0, _guest.Send(port));
        Assert.Equal(0, _guest.Close(port));
        Assert.False(channel.IsConnected);
        Assert.Equal(0, _guest.BindIpi(0, out uint reused));
        Assert.Equal(port, reused);
        channel.Notify();
        Assert.False(_guest.IsPendingBit(port));
        ServiceChannels.RunPending();
        channel.Close();
        Assert.Equal(EventChannelStatus.Ipi, _guest.Status(port).Status);
        Assert.Equal(0, ServiceChannels.OpenChannels);
    }

    [Fact]
    public void ClosingLeavesTheGuestsPortUnbound()
    {
        Counter counter = new();
        ServiceChannel channel = Open(counter, out uint port);
        Assert.Equal(0, _guest.Send(port));
        channel.Close();
        ServiceChannels.RunPending();
        Assert.Equal(1, counter.Calls);
        Assert.Equal(EventChannelStatus.Unbound, _guest.Status(port).Status);
        Assert.Equal(DomainId.Services, _guest.Status(port).RemoteDomain);
        channel.Close();
        channel.Notify();
        Assert.False(channel.IsConnected);
        Assert.Equal(0, ServiceChannels.TryBind(_guest.Domain, port, counter, out ServiceChannel again));
        Assert.True(again.IsConnected);
        Assert.False(channel.IsConnected);
    }

    [Fact]
    public void AHandlerMayCloseItsChannel()
    {
        Counter counter = new();
        ServiceChannel channel = Open(counter, out uint port);
        counter.During = channel.Close;
        Assert.Equal(0, _guest.Send(port));
        ServiceChannels.RunPending();
        Assert.Equal(0, ServiceChannels.OpenChannels);
        Assert.Equal(2, counter.Calls);
    }

    [Fact]
    public void AnAbandonedHandlerDoesNotBlockItsChannel()
    {
        Counter counter = new();
        Counter other = new();
        Open(counter, out uint port);
        Open(other, out uint second);
        counter.During = () => throw new InvalidOperationException("abandoned");
        Assert.Equal(0, _guest.Send(port));
        Assert.Equal(0, _guest.Send(second));
        Assert.Throws<InvalidOperationException>(ServiceChannels.RunPending);
        counter.During = null;
        ServiceChannels.RunPending();
        Assert.Equal(2, other.Calls);
        Assert.Equal(0, _guest.Send(port));
        ServiceChannels.RunPending();
        Assert.Equal(3, counter.Calls);
    }

    [Fact]
    public void ThereIsAMaximumAndRecordsAreReused()
    {
        List<ServiceChannel> channels = [];
        for (int i = 0; i < EventMachine.MaximumChannels; i++)
        {
            channels.Add(Open(new Counter(), out _));
        }

        Assert.Equal(0, ServiceChannels.AllocateUnbound(_guest.Domain, out uint port));
        Assert.Equal(-Errno.ENOSPC, ServiceChannels.TryBind(_guest.Domain, port, new Counter(), out _));
        foreach (ServiceChannel channel in channels)
        {
            channel.Close();
        }

        Assert.Equal(0, ServiceChannels.TryBind(_guest.Domain, port, new Counter(), out ServiceChannel last));
        last.Close();
        ServiceChannels.RunPending();
        Assert.Equal(0, ServiceChannels.OpenChannels);
    }

    [Fact]
    public void ADeadGuestsChannelsAreSafeToUse()
    {
        Counter counter = new();
        ServiceChannel channel = Open(counter, out uint port);
        Assert.Equal(0, _guest.Send(port));
        _guest.Destroy(_machine.Machine);
        Assert.False(channel.IsConnected);
        channel.Notify();
        ServiceChannels.RunPending();
        channel.Close();
        Assert.Equal(0, ServiceChannels.OpenChannels);
    }

    [Fact]
    public void GuestsCannotBindToTheServices()
    {
        Open(new Counter(), out _);
        Assert.Equal(-Errno.ESRCH, _guest.BindInterdomain(DomainId.Services, 0, out _));
    }
}
