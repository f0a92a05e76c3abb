using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Processor;

public class DebugRegisterTests
{
    private readonly Vcpu _vcpu;

    public DebugRegisterTests()
    {
        TestMachine machine = new(64);
        _vcpu = machine.CreateDomain(1, 1, 0).Vcpus[0]!;
        DebugRegisters.Reset(_vcpu);
    }

    private ulong Get(uint register)
    {
        Assert.True(DebugRegisters.TryGet(_vcpu, register, out ulong value));
        return value;
    }

    private ulong Loaded(int index) => GuestDebugRegisters.At(ref _vcpu.State, index);

    [Fact]
    public void ResetStateIsTheArchitecturalOne()
    {
        Assert.Equal(0xffff0ff0UL, Get(6));
        Assert.Equal(0x400UL, Get(7));
        Assert.Equal(0UL, Get(3));
        Assert.Equal(0UL, Loaded(GuestDebugRegisters.ControlIndex));
    }

    [Theory]
    [InlineData(0UL, 0)]
    [InlineData(0x00007fffffffffffUL, 0)]
    [InlineData(0xffffffff81000000UL, 0)]
    [InlineData(0xffff880000000000UL, 0)]
    [InlineData(0xffff82d040200000UL, -Errno.EPERM)]
    [InlineData(0xffff800000000000UL, -Errno.EPERM)]
    [InlineData(0x0000800000000000UL, -Errno.EPERM)]
    public void BreakpointsOnTheHypervisorAreRefused(ulong address, long expected)
    {
        Assert.Equal(expected, DebugRegisters.TrySet(_vcpu, 2, address));
        Assert.Equal(expected == 0 ? address : 0, Get(2));
    }

    [Fact]
    public void ReservedBitsReadAsFixed()
    {
        Assert.Equal(0, DebugRegisters.TrySet(_vcpu, 6, 0x1001));
        Assert.Equal(0xffff0ff1UL, Get(6));
        Assert.Equal(0, DebugRegisters.TrySet(_vcpu, 7, 0xd801));
        Assert.Equal(0x401UL, Get(7));
        Assert.Equal(0x401UL, Loaded(GuestDebugRegisters.ControlIndex));
        Assert.Equal(-Errno.EINVAL, DebugRegisters.TrySet(_vcpu, 6, 1UL << 32));
        Assert.Equal(-Errno.EINVAL, DebugRegisters.TrySet(_vcpu, 7, 1UL << 32));
        Assert.Equal(-Errno.EPERM, DebugRegisters.TrySet(_vcpu, 7, 1 << 13));
        Assert.Equal(-Errno.ENODEV, DebugRegisters.TrySet(_vcpu, 8, 0));
        Assert.False(DebugRegisters.TryGet(_vcpu, 8, out _));
    }

    [Fact]
    public void FourAndFiveAreOtherNamesUnlessExtensionsAreOn()
    {
        Assert.Equal(0, DebugRegisters.TrySet(_vcpu, 4, 0x8));
        Assert.Equal(Get(6), Get(4));
        Assert.Equal(Get(7), Get(5));
        _vcpu.GuestCr4 = ControlRegisters.DebugExtensions;
        Assert.Equal(-Errno.ENODEV, DebugRegisters.TrySet(_vcpu, 4, 0));
        Assert.False(DebugRegisters.TryGet(_vcpu, 5, out _));
    }

    [Fact]
    public void PortBreakpointsAreKeptFromTheCpu()
    {
        const ulong PortOnSecond = (2UL << 20) | (1UL << 22) | 0x4;
        const ulong DataOnFirst = (1UL << 16) | 0x1;
        Assert.Equal(-Errno.EPERM, DebugRegisters.TrySet(_vcpu, 7, PortOnSecond));
        _vcpu.GuestCr4 = ControlRegisters.DebugExtensions;
        Assert.Equal(0, DebugRegisters.TrySet(_vcpu, 1, 0x3f8));
        Assert.Equal(0, DebugRegisters.TrySet(_vcpu, 7, PortOnSecond | DataOnFirst));
        Assert.Equal(PortOnSecond | DataOnFirst | 0x400, Get(7));
        Assert.Equal(0UL, Loaded(GuestDebugRegisters.ControlIndex) & 0xc);
        Assert.Equal(1UL, Loaded(GuestDebugRegisters.ControlIndex) & 3);

        // Two bytes at 0x3f8.
        Assert.Equal(2UL, DebugRegisters.MatchPort(_vcpu, 0x3f9, 1));
        Assert.Equal(2UL, DebugRegisters.MatchPort(_vcpu, 0x3f6, 4));
        Assert.Equal(0UL, DebugRegisters.MatchPort(_vcpu, 0x3fa, 4));
        Assert.Equal(0UL, DebugRegisters.MatchPort(_vcpu, 0x3f7, 1));

        Assert.Equal(0, DebugRegisters.TrySet(_vcpu, 7, 0));
        Assert.Equal(0UL, DebugRegisters.MatchPort(_vcpu, 0x3f8, 1));
        Assert.Equal(0UL, Loaded(GuestDebugRegisters.ControlIndex));
    }
}
