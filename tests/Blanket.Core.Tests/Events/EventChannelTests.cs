using System;
using Blanket.Abi.Xen;
using Blanket.Core.Events;
using Blanket.Core.Hypercalls;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>Every sub-operation of HYPERVISOR_event_channel_op and its errors.</summary>
public sealed class EventChannelTests
{
    private readonly EventMachine _machine = new();
    private readonly EventGuest _one;
    private readonly EventGuest _two;

    public EventChannelTests()
    {
        _one = new EventGuest(_machine, 1);
        _two = new EventGuest(_machine, 2);
    }

    [Fact]
    public void UnknownSubOperationsAndBadAddressesAreErrors()
    {
        Assert.Equal(-Errno.ENOSYS, _one.Guest.Call(EventChannelHypercalls.Handle, 15, TestGuest.ArgumentBase));
        for (ulong operation = 0; operation <= EventChannelOp.ResetContinuation; operation++)
        {
            Assert.Equal(-Errno.EFAULT, _one.Guest.Call(EventChannelHypercalls.Handle, operation, 0x10));
            Assert.Equal(-Errno.EFAULT, _one.Guest.Call(EventChannelHypercalls.Handle, operation, AddressSpace.DirectMapBase));
        }
    }

    [Fact]
    public void PortsAreGivenFromOneUpAndReused()
    {
        Assert.Equal(1u, _one.AllocateUnbound(2));
        Assert.Equal(2u, _one.AllocateUnbound(2));
        Assert.Equal(3u, _one.AllocateUnbound(2));
        Assert.Equal(0, _one.Close(2));
        Assert.Equal(2u, _one.AllocateUnbound(2));
        Assert.Equal(4u, _one.AllocateUnbound(2));
        Assert.Equal(4, _one.Events.ActivePorts);
    }

    [Fact]
    public void AllocatingForOthersIsForControlDomains()
    {
        Assert.Equal(-Errno.EPERM, _one.AllocateUnbound(1, out _, domain: 2));
        Assert.Equal(-Errno.ESRCH, _one.AllocateUnbound(1, out _, domain: 77));
        _one.Domain.MayManageMemory = true;
        Assert.Equal(0, _one.AllocateUnbound(DomainId.Self, out uint port, domain: 2));
        Assert.Equal(1, _two.Status(port).RemoteDomain);
        Assert.Equal(EventChannelStatus.Unbound, _two.Status(port).Status);
    }

    [Fact]
    public void PortsRunOutAtTheLimitOfTheAbi()
    {
        EventGuest guest = new(_machine, 3, maximumPort: 100_000);
        for (uint port = 1; port < 4096; port++)
        {
            Assert.Equal(0, guest.BindIpi(0, out uint got));
            Assert.Equal(port, got);
        }

        Assert.Equal(-Errno.ENOSPC, guest.BindIpi(0, out _));
        Assert.Equal(-Errno.ENOSPC, guest.BindVirq(Virq.Timer, 0, out _));
        Assert.Equal(-Errno.ENOSPC, guest.BindInterdomain(1, _one.AllocateUnbound(3), out _));
        Assert.Equal(0, guest.Close(77));
        Assert.Equal(0, guest.BindIpi(0, out uint again));
        Assert.Equal(77u, again);
    }

    [Fact]
    public void PortsRunOutAtTheConfiguredMaximum()
    {
        EventGuest guest = new(_machine, 3, maximumPort: 2);
        Assert.Equal(0, guest.BindIpi(0, out _));
        Assert.Equal(0, guest.BindIpi(0, out _));
        Assert.Equal(-Errno.ENOSPC, guest.BindIpi(0, out _));
    }

    [Fact]
    public void ADyingDomainGetsNoPort()
    {
        uint port = _one.AllocateUnbound(2);
        _one.Domain.IsDying = true;
        Assert.Equal(-Errno.EINVAL, _one.BindIpi(0, out _));
        Assert.Equal(-Errno.EINVAL, _two.BindInterdomain(1, port, out _));
        Assert.Equal(0, _two.Events.ActivePorts);
    }

    [Fact]
    public void BindInterdomainConnectsBothEndsAndRaisesTheNewOne()
    {
        uint remote = _one.AllocateUnbound(2);
        Assert.Equal(0, _two.BindInterdomain(1, remote, out uint local));
        EventChannelStatus mine = _two.Status(local);
        Assert.Equal(EventChannelStatus.Interdomain, mine.Status);
        Assert.Equal(1, mine.RemoteDomain);
        Assert.Equal(remote, mine.RemotePort);
        EventChannelStatus theirs = _one.Status(remote);
        Assert.Equal(EventChannelStatus.Interdomain, theirs.Status);
        Assert.Equal(2, theirs.RemoteDomain);
        Assert.Equal(local, theirs.RemotePort);
        Assert.Equal([local], _two.TakeEvents(0));
        Assert.Empty(_one.TakeEvents(0));
    }

    [Fact]
    public void BindInterdomainRefusesWhatDoesNotWaitForTheCaller()
    {
        EventGuest three = new(_machine, 3);
        uint forTwo = _one.AllocateUnbound(2);
        Assert.Equal(-Errno.EINVAL, three.BindInterdomain(1, forTwo, out _));
        Assert.Equal(-Errno.EINVAL, _two.BindInterdomain(1, 0, out _));
        Assert.Equal(-Errno.EINVAL, _two.BindInterdomain(1, forTwo + 1, out _));
        Assert.Equal(-Errno.EINVAL, _two.BindInterdomain(1, uint.MaxValue, out _));
        Assert.Equal(-Errno.ESRCH, _two.BindInterdomain(99, forTwo, out _));
        Assert.Equal(-Errno.ESRCH, _two.BindInterdomain(DomainId.Services, 1, out _));
        Assert.Equal(0, _two.BindInterdomain(1, forTwo, out _));
        Assert.Equal(-Errno.EINVAL, _two.BindInterdomain(1, forTwo, out _));
        Assert.Equal(1, _two.Events.ActivePorts);
        Assert.Equal(0, three.Events.ActivePorts);
    }

    [Fact]
    public void ADomainConnectsToItself()
    {
        uint first = _one.AllocateUnbound(DomainId.Self);
        Assert.Equal(0, _one.BindInterdomain(DomainId.Self, first, out uint second));
        _ = _one.TakeEvents(0);
        Assert.Equal(0, _one.Send(second));
        Assert.Equal([first], _one.TakeEvents(0));
        Assert.Equal(0, _one.Close(second));
        Assert.Equal(EventChannelStatus.Unbound, _one.Status(first).Status);
        Assert.Equal(1, _one.Status(first).RemoteDomain);
    }

    [Fact]
    public void VirqsBelongToAVcpuOrToTheDomain()
    {
        Assert.Equal(-Errno.EINVAL, _one.BindVirq(Virq.Count, 0, out _));
        Assert.Equal(-Errno.EINVAL, _one.BindVirq(uint.MaxValue, 0, out _));
        Assert.Equal(-Errno.ENOENT, _one.BindVirq(Virq.Timer, 2, out _));
        Assert.Equal(-Errno.EINVAL, _one.BindVirq(Virq.ConsoleRing, 1, out _));
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 0, out uint zero));
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 1, out uint one));
        Assert.Equal(-Errno.EEXIST, _one.BindVirq(Virq.Timer, 1, out _));
        Assert.Equal(0, _one.BindVirq(Virq.ConsoleRing, 0, out uint ring));
        Assert.Equal(EventChannelStatus.Virq, _one.Status(one).Status);
        Assert.Equal(Virq.Timer, _one.Status(one).Source);
        Assert.Equal(1u, _one.Status(one).Vcpu);

        EventChannels.RaiseVirq(_one.Domain.Vcpus[1]!, Virq.Timer);
        Assert.Empty(_one.TakeEvents(0));
        Assert.Equal([one], _one.TakeEvents(1));
        EventChannels.RaiseVirq(_one.Domain.Vcpus[1]!, Virq.ConsoleRing);
        Assert.Equal([ring], _one.TakeEvents(0));
        Assert.Equal(0, _one.Close(zero));
        EventChannels.RaiseVirq(_one.Domain.Vcpus[0]!, Virq.Timer);
        Assert.Empty(_one.TakeEvents(0));
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 0, out uint again));
        Assert.Equal(zero, again);
    }

    [Fact]
    public void IpisNotifyTheirVcpu()
    {
        Assert.Equal(-Errno.ENOENT, _one.BindIpi(2, out _));
        Assert.Equal(0, _one.BindIpi(1, out uint port));
        Assert.Equal(EventChannelStatus.Ipi, _one.Status(port).Status);
        Assert.Equal(0, _one.Send(port));
        Assert.Equal([port], _one.TakeEvents(1));
    }

    [Fact]
    public void PhysicalInterruptsAreNobodys()
    {
        EventChannelBindPirq argument = new() { Pirq = 1 };
        Assert.Equal(-Errno.EPERM, _one.Call(EventChannelOp.BindPirq, ref argument));
    }

    [Fact]
    public void ClosingLeavesTheOtherEndUnbound()
    {
        uint remote = _one.AllocateUnbound(2);
        Assert.Equal(0, _two.BindInterdomain(1, remote, out uint local));
        Assert.Equal(0, _two.Close(local));
        Assert.Equal(EventChannelStatus.Closed, _two.Status(local).Status);
        Assert.Equal(EventChannelStatus.Unbound, _one.Status(remote).Status);
        Assert.Equal(2, _one.Status(remote).RemoteDomain);
        Assert.False(_two.IsPendingBit(local));
        Assert.Equal(0, _two.BindInterdomain(1, remote, out local));
        Assert.Equal(0, _one.Close(remote));
        Assert.Equal(EventChannelStatus.Unbound, _two.Status(local).Status);
        Assert.Equal(0, _one.Events.ActivePorts);
    }

    [Fact]
    public void ClosingWhatIsNotOpenIsAnError()
    {
        Assert.Equal(-Errno.EINVAL, _one.Close(0));
        Assert.Equal(-Errno.EINVAL, _one.Close(5));
        uint port = _one.AllocateUnbound(2);
        Assert.Equal(-Errno.EINVAL, _one.Close(0));
        Assert.Equal(0, _one.Close(port));
        Assert.Equal(-Errno.EINVAL, _one.Close(port));
        Assert.Equal(-Errno.EINVAL, _one.Close(uint.MaxValue));
    }

    [Fact]
    public void SendingNeedsASendingPort()
    {
        uint unbound = _one.AllocateUnbound(2);
        Assert.Equal(0, _one.Send(unbound));
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 0, out uint virq));
        Assert.Equal(-Errno.EINVAL, _one.Send(virq));
        Assert.Equal(-Errno.EINVAL, _one.Send(0));
        Assert.Equal(-Errno.EINVAL, _one.Send(30));
        Assert.Equal(-Errno.EINVAL, _one.Send(uint.MaxValue));
    }

    [Fact]
    public void StatusOfOthersIsForControlDomains()
    {
        uint port = _two.AllocateUnbound(1);
        Assert.Equal(-Errno.EPERM, _one.Status(port, out _, domain: 2));
        Assert.Equal(-Errno.ESRCH, _one.Status(port, out _, domain: 9));
        Assert.Equal(-Errno.EINVAL, _one.Status(4095, out _));
        _one.Domain.MayManageMemory = true;
        Assert.Equal(0, _one.Status(port, out EventChannelStatus status, domain: 2));
        Assert.Equal(EventChannelStatus.Unbound, status.Status);
    }

    [Fact]
    public void OnlyPortsOfNoVcpuCanBeMoved()
    {
        uint unbound = _one.AllocateUnbound(2);
        Assert.Equal(0, _one.BindIpi(0, out uint ipi));
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 0, out uint timer));
        Assert.Equal(0, _one.BindVirq(Virq.ConsoleRing, 0, out uint global));
        Assert.Equal(-Errno.ENOENT, _one.BindVcpu(unbound, 2));
        Assert.Equal(-Errno.EINVAL, _one.BindVcpu(3000, 1));
        Assert.Equal(-Errno.EINVAL, _one.BindVcpu(ipi, 1));
        Assert.Equal(-Errno.EINVAL, _one.BindVcpu(timer, 1));
        Assert.Equal(-Errno.EINVAL, _one.BindVcpu(0, 1));
        Assert.Equal(0, _one.BindVcpu(global, 1));
        Assert.Equal(0, _one.BindVcpu(unbound, 1));
        Assert.Equal(0, _two.BindInterdomain(1, unbound, out uint remote));
        Assert.Equal(0, _two.Send(remote));
        EventChannels.RaiseVirq(_one.Domain.Vcpus[0]!, Virq.ConsoleRing);
        Assert.Empty(_one.TakeEvents(0));
        Assert.Equal([unbound, global], _one.TakeEvents(1));
    }

    [Fact]
    public void ResetClosesEverything()
    {
        uint remote = _one.AllocateUnbound(2);
        Assert.Equal(0, _two.BindInterdomain(1, remote, out uint local));
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 1, out _));
        Assert.Equal(0, _one.BindIpi(1, out _));
        Assert.Equal(0, _one.Reset());
        Assert.Equal(0, _one.Events.ActivePorts);
        Assert.Equal(EventChannelStatus.Unbound, _two.Status(local).Status);
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 1, out uint virq));
        Assert.Equal(1u, virq);
    }

    [Fact]
    public void ResetIsPreemptedAndGoesOn()
    {
        for (int i = 0; i < 1000; i++)
        {
            Assert.Equal(0, _one.BindIpi(0, out _));
        }

        int goes = 0;
        _one.Guest.Preempted = () => goes++ >= 0;
        Assert.Equal(0, _one.Reset());
        Assert.InRange(goes, 15, 20);
        Assert.Equal(0, _one.Events.ActivePorts);
    }

    [Fact]
    public void ResetOfOthersIsRefused()
    {
        Assert.Equal(-Errno.EPERM, _one.Reset(2));
        Assert.Equal(-Errno.ESRCH, _one.Reset(9));
        _one.Domain.MayManageMemory = true;
        Assert.Equal(-Errno.EINVAL, _one.Reset(2));
        EventChannelReset self = new() { Domain = DomainId.Self };
        Assert.Equal(-Errno.EBUSY, _one.Call(EventChannelOp.ResetContinuation, ref self));
    }

    [Fact]
    public void ASecondResetWhileOneIsSuspendedIsBusy()
    {
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(0, _one.BindIpi(0, out _));
        }

        HypercallArguments arguments = new() { A1 = EventChannelOp.Reset, A2 = TestGuest.ArgumentBase };
        _one.Guest.Use(0);
        _one.Guest.Store<EventChannelReset>(TestGuest.ArgumentBase, [new() { Domain = DomainId.Self }]);
        PendingWork.Exists = true;
        Assert.Equal(HypercallArguments.Restart, EventChannelHypercalls.Handle(_one.Guest.Vcpu, ref arguments));
        PendingWork.Exists = false;
        Assert.Equal(-Errno.EBUSY, _one.Reset());
        Assert.Equal(0, EventChannelHypercalls.Handle(_one.Guest.Vcpu, ref arguments));
        Assert.Equal(0, _one.Reset());
    }

    [Fact]
    public void TeardownClosesEverything()
    {
        uint remote = _one.AllocateUnbound(2);
        Assert.Equal(0, _two.BindInterdomain(1, remote, out uint local));
        Assert.Equal(0, _one.BindVirq(Virq.Timer, 1, out _));
        _one.Destroy(_machine.Machine, new Random(1));
        Assert.Equal(EventChannelStatus.Unbound, _two.Status(local).Status);
        Assert.Equal(0, _two.Send(local));
    }
}
