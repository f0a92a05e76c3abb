using System;
using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Xen;

public sealed class EventPortsTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Events_are_served_on_the_CPU_that_a_port_is_bound_to(bool fifo)
    {
        FakeXen xen = new(3, fifo);
        xen.StartCpu(1);
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint port));
        xen.Events.Bind(port, 1);
        xen.Raise(port);
        xen.Run();
        Assert.Equal([1], recorder.Cpus);
    }

    /// <summary>At boot devices are opened before the other CPUs run: until then CPU 0 serves their events.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_CPU_takes_its_ports_over_when_it_starts(bool fifo)
    {
        FakeXen xen = new(3, fifo);
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint port));
        xen.Events.Bind(port, 2);
        xen.Raise(port);
        xen.Run();
        xen.StartCpu(1);
        xen.StartCpu(2);
        xen.Raise(port);
        xen.Run();
        Assert.Equal([0, 2], recorder.Cpus);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_event_that_is_pending_while_its_port_moves_is_served_once(bool fifo)
    {
        FakeXen xen = new(2, fifo);
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint port));
        xen.Raise(port);
        xen.Events.Bind(port, 1);
        xen.StartCpu(1);
        xen.Run();
        Assert.Single(recorder.Cpus);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_port_that_was_closed_or_lost_is_not_taken_over(bool fifo)
    {
        FakeXen xen = new(2, fifo);
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint port));
        xen.Events.Bind(port, 1);
        xen.Events.Close(port);
        xen.StartCpu(1);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint other));
        xen.Events.Bind(other, 1);
        xen.Restore();
        xen.StartCpu(1);
        xen.Raise(other);
        xen.Run();
        Assert.Empty(recorder.Cpus);
    }

    [Fact]
    public void Ports_that_are_queued_behind_each_other_are_all_served()
    {
        FakeXen xen = new();
        Recorder recorder = new(xen);
        uint[] ports = new uint[5];
        for (int i = 0; i < ports.Length; i++)
        {
            Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out ports[i]));
        }

        for (int round = 1; round <= 3; round++)
        {
            Array.ForEach(ports, xen.Raise);
            xen.Run();
            Assert.Equal(round * ports.Length, recorder.Cpus.Count);
        }
    }

    /// <summary>Links to a port that is not there, to itself, and in a ring: the CPU goes on, and so do other events.</summary>
    [Theory]
    [InlineData(0x1ffff)]
    [InlineData(-1)]
    [InlineData(1)]
    public void Links_that_lie_hold_nobody_up(int link)
    {
        FakeXen xen = new();
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint first));
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint second));
        xen.Raise(first);
        xen.Raise(second);
        xen.Fifo.Word(second) |= link < 0 ? second : link == 1 ? first : (uint)link;
        xen.Run();
        Assert.Equal(2, recorder.Cpus.Count);
    }

    /// <summary>Xen announces a queue only when it was empty: what a failed handler leaves behind has to come with the next event.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Ports_behind_a_handler_that_fails_are_served_with_the_next_event(bool fifo)
    {
        FakeXen xen = new(1, fifo);
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, new Failing(), out uint first));
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint second));
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint third));
        xen.Raise(first);
        xen.Raise(second);
        Assert.Throws<NotSupportedException>(xen.Run);
        xen.Raise(third);
        xen.Run();
        Assert.Equal(2, recorder.Cpus.Count);
    }

    /// <summary>The new domain's other CPUs have no control blocks before they have started again.</summary>
    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_restored_domain_uses_what_its_Xen_offers(bool before, bool after)
    {
        FakeXen xen = new(2, before);
        xen.StartCpu(1);
        Assert.Equal(before, xen.Events.UsesFifo);
        xen.OffersFifo = after;
        xen.Restore();
        Assert.Equal(after, xen.Events.UsesFifo);

        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint port));
        xen.Events.Bind(port, 1);
        xen.Raise(port);
        xen.Run();
        Assert.Equal([0], recorder.Cpus);

        xen.StartCpu(1);
        xen.Raise(port);
        xen.Run();
        Assert.Equal([0, 1], recorder.Cpus);
    }

    [Fact]
    public void A_port_for_whose_events_there_is_no_memory_is_closed_again()
    {
        FakeXen xen = new();
        int before = xen.OpenPorts;
        xen.NextPort = EventChannelFifo.WordsPerPage;
        xen.Fifo.RefusesPages = true;
        Assert.Equal(-Errno.ENOMEM, xen.Events.AllocateUnbound(0, new Recorder(xen), out _));
        Assert.Equal(before, xen.OpenPorts);
        xen.Fifo.RefusesPages = false;
        Assert.Equal(0, xen.Events.AllocateUnbound(0, new Recorder(xen), out _));
    }

    private sealed class Failing : InterruptHandler
    {
        public override void Handle() => throw new NotSupportedException();
    }

    private sealed class Recorder(FakeXen xen) : InterruptHandler
    {
        public List<int> Cpus { get; } = [];

        public override void Handle() => Cpus.Add(xen.ServingCpu);
    }
}
