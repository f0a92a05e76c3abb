using System.Collections.Generic;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Xen;

public sealed class EventPortsTests
{
    [Fact]
    public void Events_are_served_on_the_CPU_that_a_port_is_bound_to()
    {
        FakeXen xen = new(3);
        xen.StartCpu(1);
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint port));
        xen.Events.Bind(port, 1);
        xen.Raise(port);
        xen.Run();
        Assert.Equal([1], recorder.Cpus);
    }

    /// <summary>At boot devices are opened before the other CPUs run: until then CPU 0 serves their events.</summary>
    [Fact]
    public void A_CPU_takes_its_ports_over_when_it_starts()
    {
        FakeXen xen = new(3);
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

    [Fact]
    public void An_event_that_is_pending_while_its_port_moves_is_served_once()
    {
        FakeXen xen = new(2);
        Recorder recorder = new(xen);
        Assert.Equal(0, xen.Events.AllocateUnbound(0, recorder, out uint port));
        xen.Raise(port);
        xen.Events.Bind(port, 1);
        xen.StartCpu(1);
        xen.Run();
        Assert.Equal([1], recorder.Cpus);
    }

    [Fact]
    public void A_port_that_was_closed_or_lost_is_not_taken_over()
    {
        FakeXen xen = new(2);
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

    private sealed class Recorder(FakeXen xen) : InterruptHandler
    {
        public List<int> Cpus { get; } = [];

        public override void Handle() => Cpus.Add(xen.ServingCpu);
    }
}
