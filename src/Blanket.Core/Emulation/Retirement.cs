using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>The end of an emulated instruction.</summary>
internal static class Retirement
{
    private const ulong TrapFlag = 1 << 8;
    private const ulong ResumeFlag = 1 << 16;
    private const ulong SingleStep = 1 << 14;

    /// <summary>Steps over an instruction; single-stepping guests get their #DB.</summary>
    internal static EmulationResult Complete(Vcpu vcpu, int length)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        registers.Rip = unchecked(registers.Rip + (uint)length);
        return Finish(vcpu, 0);
    }

    /// <summary>Ends an instruction whose RIP is set already.</summary>
    /// <param name="vcpu">The vCPU that runs on this CPU.</param>
    /// <param name="breakpoints">Bits 0-3: breakpoints of DR0-DR3 that it has hit.</param>
    internal static EmulationResult Finish(Vcpu vcpu, ulong breakpoints)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        registers.Rflags &= ~ResumeFlag;
        ulong causes = breakpoints | ((registers.Rflags & TrapFlag) != 0 ? SingleStep : 0);
        if (causes == 0)
        {
            return EmulationResult.Done;
        }

        DebugRegisters.AddStatus(vcpu, causes);
        return EmulationResult.Debug;
    }
}
