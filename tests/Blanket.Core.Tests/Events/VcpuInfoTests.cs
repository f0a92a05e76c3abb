using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>Where a vCPU's vcpu_info is and how it moves (VCPUOP_register_vcpu_info).</summary>
public sealed class VcpuInfoTests
{
    private readonly EventMachine _machine = new(1024);

    [Fact]
    public void TheFirst32VcpusHaveOneInTheSharedInfo()
    {
        EventGuest guest = new(_machine, 1, vcpus: 34);
        Assert.Equal(guest.SharedInfoAddress + 31 * 64, guest.Domain.Vcpus[31]!.Info.Address);
        Assert.Equal(1, guest.Info(31).EventMask);
        Assert.Equal(0UL, guest.Domain.Vcpus[32]!.Info.Address);
        Assert.Equal(0, guest.BindIpi(33, out uint port));
        Assert.Equal(0, guest.Send(port));
        Assert.True(guest.IsPendingBit(port));
    }

    [Fact]
    public void RegisteringMovesTheContentsAndMarksEverythingPending()
    {
        EventGuest guest = new(_machine, 1);
        Vcpu vcpu = guest.Domain.Vcpus[0]!;
        guest.Info(0).Cr2 = 0x1234;
        guest.Info(0).EventMask = 0;
        ulong frame = guest.Guest.Frames[0];
        Assert.Equal(0, vcpu.Info.Register(vcpu, frame, 4096 - 64));
        Assert.Equal((frame << Cpu.PageShift) + 4096 - 64, vcpu.Info.Address);
        Assert.True(vcpu.Info.IsRegistered);
        Assert.Equal(0x1234UL, guest.Info(0).Cr2);
        Assert.Equal(0, guest.Info(0).EventMask);
        Assert.Equal(1, guest.Info(0).EventPending);
        Assert.Equal(ulong.MaxValue, guest.Info(0).PendingSelector);
        Assert.Equal([vcpu], _machine.TakeNotified());
        Assert.Equal(FrameType.Writable, TestGuest.TypeOf(frame));
        Assert.Equal(1UL, TestGuest.TypeCount(frame));

        _ = guest.TakeEvents(0);
        Assert.Equal(0, guest.BindIpi(0, out uint port));
        Assert.Equal(0, guest.Send(port));
        Assert.Equal(1, guest.Info(0).EventPending);
        Assert.Equal(0, PhysicalMemory.Read<byte>(guest.SharedInfoAddress));
    }

    [Fact]
    public void AVcpuWithoutOneStartsMasked()
    {
        EventGuest guest = new(_machine, 1, vcpus: 33);
        Vcpu vcpu = guest.Domain.Vcpus[32]!;
        PhysicalMemory.Frame(guest.Guest.Frames[0]).Fill(0x5a);
        Assert.Equal(0, vcpu.Info.Register(vcpu, guest.Guest.Frames[0], 64));
        Assert.Equal(1, guest.Info(32).EventMask);
        Assert.Equal(0UL, guest.Info(32).Cr2);
        Assert.Equal(1, guest.Info(32).EventPending);
    }

    [Fact]
    public void BadPlacesAreRefusedAndChangeNothing()
    {
        EventGuest guest = new(_machine, 1);
        EventGuest other = new(_machine, 2);
        Vcpu vcpu = guest.Domain.Vcpus[0]!;
        ulong frame = guest.Guest.Frames[0];
        Assert.Equal(-Errno.ENXIO, vcpu.Info.Register(vcpu, frame, 4096 - 63));
        Assert.Equal(-Errno.ENXIO, vcpu.Info.Register(vcpu, frame, 4));
        Assert.Equal(-Errno.ENXIO, vcpu.Info.Register(vcpu, frame, uint.MaxValue));
        Assert.Equal(-Errno.EINVAL, vcpu.Info.Register(vcpu, other.Guest.Frames[0], 0));
        Assert.Equal(-Errno.EINVAL, vcpu.Info.Register(vcpu, 0, 0));
        Assert.Equal(-Errno.EINVAL, vcpu.Info.Register(vcpu, ulong.MaxValue, 0));
        guest.Guest.Use(0);
        Assert.Equal(0, guest.Guest.Pin(guest.Guest.Frames[1], 1));
        Assert.Equal(-Errno.EINVAL, vcpu.Info.Register(vcpu, guest.Guest.Frames[1], 0));
        Assert.False(vcpu.Info.IsRegistered);
        Assert.Equal(guest.SharedInfoAddress, vcpu.Info.Address);
        Assert.Equal(0, vcpu.Info.Register(vcpu, frame, 0));
        Assert.Equal(-Errno.EINVAL, vcpu.Info.Register(vcpu, guest.Guest.Frames[2], 0));
    }

    [Fact]
    public void TeardownDropsThePage()
    {
        EventGuest guest = new(_machine, 1);
        Vcpu vcpu = guest.Domain.Vcpus[0]!;
        Assert.Equal(0, vcpu.Info.Register(vcpu, guest.Guest.Frames[0], 0));
        guest.Destroy(_machine.Machine);
        Assert.Equal(FrameState.Free, FrameTable.Of(guest.Guest.Frames[0]).State);
    }
}
