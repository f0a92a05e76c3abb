using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Processor;

public class ProcessorSwitchTests
{
    [Fact]
    public void TscAuxFollowsTheVcpuThatRuns()
    {
        Domain domain = new TestMachine(64).CreateDomain(1, 2, 0);
        CpuidPolicy.Use(new CpuidPolicy(new SimulatedCpu()));
        Vcpu first = domain.Vcpus[0]!, second = domain.Vcpus[1]!;
        Assert.True(MsrPolicy.TryWrite(first, Msr.TscAux, 1));
        second.TscAux = 2;
        ProcessorSwitch.Load(second);
        Assert.Equal(2UL, Cpu.ReadMsr(Msr.TscAux));
        ProcessorSwitch.Load(first);
        Assert.Equal(1UL, Cpu.ReadMsr(Msr.TscAux));

        // Nothing is written that the CPU holds already.
        GuardedMsr.Simulated[Msr.TscAux] = 99;
        ProcessorSwitch.Load(first);
        Assert.Equal(99UL, Cpu.ReadMsr(Msr.TscAux));
    }

    [Fact]
    public void TimeStampAndBaseInstructionsAreAsTheGuestHasChosen()
    {
        Vcpu vcpu = new TestMachine(64).CreateDomain(1, 1, 0).Vcpus[0]!;
        Assert.Equal(0UL, ControlRegisters.HardwareCr4(vcpu));
        vcpu.GuestCr4 = ulong.MaxValue;
        Assert.Equal(ControlRegisters.TimeStampDisable | ControlRegisters.FsGsBase, ControlRegisters.HardwareCr4(vcpu));
    }
}
