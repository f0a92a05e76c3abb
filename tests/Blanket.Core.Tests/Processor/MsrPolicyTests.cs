using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Processor;

public class MsrPolicyTests
{
    private readonly TestGuest _guest;
    private readonly Vcpu _vcpu;

    public MsrPolicyTests()
    {
        TestMachine machine = new(128);
        _guest = new TestGuest(machine, 1, 4, vcpus: 2);
        _vcpu = _guest.Vcpu;
        _vcpu.State.Trap(13).Address = 0x1000;
        GuardedMsr.Simulated.Clear();
        CpuidPolicy.Use(new CpuidPolicy(new SimulatedCpu()));
    }

    private ulong Read(uint index)
    {
        Assert.True(MsrPolicy.TryRead(_vcpu, index, out ulong value), $"{index:x}");
        return value;
    }

    private bool CanRead(uint index) => MsrPolicy.TryRead(_vcpu, index, out _);

    private bool Write(uint index, ulong value) => MsrPolicy.TryWrite(_vcpu, index, value);

    [Fact]
    public void BasesAreTheCpus()
    {
        foreach (uint index in new[] { Msr.FsBase, Msr.GsBase, Msr.KernelGsBase })
        {
            Assert.True(Write(index, 0xffff888000001000));
            Assert.Equal(0xffff888000001000UL, Read(index));
            Assert.Equal(0xffff888000001000UL, Cpu.ReadMsr(index));
            Assert.False(Write(index, 0x0000800000000000));
        }
    }

    [Fact]
    public void EferTakesOnlyItsOwnValue()
    {
        Cpu.WriteMsr(Msr.Efer, 0x1d01 | 1 << 12);
        Assert.Equal(0xd01UL, Read(Msr.Efer));
        Assert.True(Write(Msr.Efer, 0xd01));
        Assert.False(Write(Msr.Efer, 0x501));
    }

    [Fact]
    public void ApicBaseTellsTheFirstVcpu()
    {
        Assert.Equal(0xfee00900UL, Read(Msr.ApicBase));
        Assert.True(MsrPolicy.TryRead(_guest.Domain.Vcpus[1]!, Msr.ApicBase, out ulong other));
        Assert.Equal(0xfee00800UL, other);
        Assert.False(Write(Msr.ApicBase, 0xfee00900));
        Assert.Equal(0x050100070406UL, Read(Msr.Pat));
        Assert.False(Write(Msr.Pat, 0));
    }

    [Fact]
    public void TscAuxIsTheVcpus()
    {
        Assert.True(Write(Msr.TscAux, 0x1003));
        Assert.Equal(0x1003UL, Read(Msr.TscAux));
        Assert.Equal(0x1003UL, Cpu.ReadMsr(Msr.TscAux));
        Assert.False(Write(Msr.TscAux, 1UL << 32));
    }

    [Fact]
    public void PredictionBarrierNeedsTheRegister()
    {
        Assert.False(Write(0x49, 1));
        GuardedMsr.Simulated[0x49] = 0;
        Assert.True(Write(0x49, 1));
        Assert.Equal(1UL, GuardedMsr.Simulated[0x49]);
        Assert.False(Write(0x49, 2));
        Assert.False(CanRead(0x49));
        Assert.False(CanRead(0x48));
        Assert.False(Write(0x48, 0));
    }

    [Fact]
    public void MiscEnableHidesWhatGuestsDoNotHave()
    {
        Assert.False(CanRead(0x1a0));
        GuardedMsr.Simulated[0x1a0] = 0x850089;
        Assert.Equal(0x811809UL, Read(0x1a0) & ~0x40000UL);
        Assert.True(Write(0x1a0, 0));
        Assert.Equal(0x850089UL, GuardedMsr.Simulated[0x1a0]);
    }

    [Fact]
    public void MachineCheckBanksAreThereAndEmpty()
    {
        Assert.Equal(0x1000802UL, Read(0x179));
        Assert.Equal(ulong.MaxValue, Read(0x400));
        Assert.Equal(0UL, Read(0x401));
        Assert.Equal(0UL, Read(0x408));
        Assert.True(Write(0x401, 0));
        Assert.False(Write(0x401, 1));
        Assert.True(Write(0x409, 1));
        Assert.True(Write(0x280, 0x40000001));
        Assert.Equal(0x40000001UL, Read(0x280));
        Assert.True(Write(0x17a, 4));
        Assert.Equal(4UL, Read(0x17a));
        Assert.False(CanRead(0x4d0));
    }

    [Fact]
    public void VendorsDiffer()
    {
        Assert.Equal(0UL, Read(0x198));
        Assert.Equal(1UL, Read(0x3a));
        Assert.True(Write(0x186, 5));
        Assert.Equal(0UL, Read(0x186));
        Assert.False(CanRead(0xc0010015));
        CpuidPolicy.Use(new CpuidPolicy(SimulatedCpu.Amd()));
        Assert.False(CanRead(0x198));
        Assert.False(CanRead(0x3a));
        Assert.False(CanRead(0x186));
        Assert.Equal(0UL, Read(0xc0010015));
        Assert.Equal(2UL, Read(0xc0011029));
        Assert.Equal(0UL, Read(0xc0010200));
        Assert.True(Write(0xc0010064, 1));
    }

    [Fact]
    public void UnknownRegistersAreFaultsOnceTheGuestHasAHandler()
    {
        Assert.False(CanRead(0x12345));
        Assert.False(Write(0x12345, 0));
        GuardedMsr.Simulated[0x12345] = 99;
        Assert.False(CanRead(0x12345));
        _vcpu.State.Trap(13).Address = 0;
        Assert.Equal(0UL, Read(0x12345));
        Assert.False(CanRead(0x12346));
        Assert.False(CanRead(0x40000001));
    }

    [Fact]
    public void HypercallPageIsWrittenToFramesOfTheGuestOnly()
    {
        ulong frame = _guest.Frames[1];
        Assert.True(Write(0x40000000, frame << Cpu.PageShift));
        Assert.Equal(0x51, PhysicalMemory.Frame(frame)[0]);
        Assert.Equal(0UL, Read(0x40000000));
        Assert.False(Write(0x40000000, (frame << Cpu.PageShift) | 1));
        Assert.False(Write(0x40000000, 1UL << 40));
        Assert.False(Write(0x40000000, 1UL << Cpu.PageShift));
        _guest.BuildTree(_guest.Frames[0]);
        TestGuest.Set(_guest.Frames[3], 0, 0);
        Assert.Equal(0, _guest.Pin(_guest.Frames[3], 1));
        Assert.False(Write(0x40000000, _guest.Frames[3] << Cpu.PageShift));
        _guest.Machine.Audit();
    }
}
