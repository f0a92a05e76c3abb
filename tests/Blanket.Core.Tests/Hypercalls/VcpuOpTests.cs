using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Core.Tests.Memory;

namespace Blanket.Core.Tests.Hypercalls;

public class VcpuOpTests
{
    private readonly TestMachine _machine = new(64);

    public VcpuOpTests() => Scheduler.Initialize(2);

    /// <summary>A domain ends when its last vCPU goes down, also when the last two do so at the same time.</summary>
    [Fact]
    public void TheDomainEndsWhenAllVcpusGoDownAtOnce()
    {
        for (ushort id = 1; id <= 2000; id++)
        {
            (Domain domain, Vcpu[] vcpus) = DomainThatRuns(id);
            using Barrier start = new(vcpus.Length);
            Thread[] threads = new Thread[vcpus.Length];
            for (int i = 0; i < threads.Length; i++)
            {
                Vcpu vcpu = vcpus[i];
                threads[i] = new Thread(() =>
                {
                    start.SignalAndWait();
                    Down(vcpu, vcpu);
                });
                threads[i].Start();
            }

            foreach (Thread thread in threads)
            {
                thread.Join();
            }

            Assert.True(domain.IsShutDown);
            Assert.Equal(ShutdownReason.PowerOff, domain.ShutdownReason);
        }
    }

    /// <summary>A vCPU that brings another up before it goes down itself hands the domain over, also while a third goes down.</summary>
    [Fact]
    public void AVcpuThatWasHandedTheDomainKeepsIt()
    {
        for (ushort id = 1; id <= 4000; id++)
        {
            (Domain domain, Vcpu[] vcpus) = DomainThatRuns(id, 3);
            Assert.Equal(0, Down(vcpus[2], vcpus[1]));
            using Barrier start = new(2);
            Thread leaving = new(() =>
            {
                start.SignalAndWait();
                Down(vcpus[0], vcpus[0]);
            });
            leaving.Start();
            start.SignalAndWait();
            HypercallArguments up = new() { A1 = VcpuOp.Up, A2 = 1 };
            Assert.Equal(0, VcpuOpHypercall.Handle(vcpus[2], ref up));
            Down(vcpus[2], vcpus[2]);
            leaving.Join();
            Assert.False(domain.IsShutDown);
            Assert.False(vcpus[1].Schedule.IsDown);
        }
    }

    [Fact]
    public void TheDomainGoesOnWhileAVcpuIsUp()
    {
        (Domain domain, Vcpu[] vcpus) = DomainThatRuns(1);
        Assert.Equal(0, Down(vcpus[0], vcpus[1]));
        Assert.False(domain.IsShutDown);
        Assert.Equal(0, Down(vcpus[0], vcpus[1]));
        Assert.False(domain.IsShutDown);
        Assert.Equal(0, Down(vcpus[0], vcpus[0]));
        Assert.True(domain.IsShutDown);
    }

    /// <summary>As Xen: for the calling vCPU and for one that is down, -EINVAL otherwise.</summary>
    [Fact]
    public void AnotherVcpusInformationMovesWhileItIsDownOnly()
    {
        TestGuest guest = new(_machine, 1, 2, vcpus: 2);
        Vcpu other = guest.Domain.Vcpus[1]!;
        other.Schedule.IsDown = false;
        guest.Store<VcpuRegisterVcpuInfo>(TestGuest.ArgumentBase, [new() { Frame = guest.Frames[0], Offset = 64 }]);
        Assert.Equal(-Errno.EINVAL, guest.Call(VcpuOpHypercall.Handle, VcpuOp.RegisterVcpuInfo, 1, TestGuest.ArgumentBase));
        Assert.False(other.Info.IsRegistered);
        other.Schedule.IsDown = true;
        Assert.Equal(0, guest.Call(VcpuOpHypercall.Handle, VcpuOp.RegisterVcpuInfo, 1, TestGuest.ArgumentBase));
        Assert.True(other.Info.IsRegistered);
    }

    private static long Down(Vcpu caller, Vcpu target)
    {
        HypercallArguments arguments = new() { A1 = VcpuOp.Down, A2 = (ulong)target.Id };
        return VcpuOpHypercall.Handle(caller, ref arguments);
    }

    private static (Domain Domain, Vcpu[] Vcpus) DomainThatRuns(ushort id, int count = 2)
    {
        Domain domain = new(id, count);
        Vcpu[] vcpus = new Vcpu[count];
        for (int i = 0; i < vcpus.Length; i++)
        {
            vcpus[i] = new Vcpu(domain, i, 0);
            domain.Vcpus[i] = vcpus[i];
            vcpus[i].Schedule.IsInitialised = true;
            Scheduler.Add(vcpus[i], default);
            Scheduler.SetDown(vcpus[i], false);
        }

        return (domain, vcpus);
    }
}
