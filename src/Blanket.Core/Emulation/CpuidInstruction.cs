using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>CPUID on the guest's registers.</summary>
internal static class CpuidInstruction
{
    internal static void Execute(Vcpu vcpu, bool isForced)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        CpuidLeaf leaf = CpuidPolicy.Query(vcpu, (uint)registers.Rax, (uint)registers.Rcx, isForced);
        registers.Rax = leaf.Eax;
        registers.Rbx = leaf.Ebx;
        registers.Rcx = leaf.Ecx;
        registers.Rdx = leaf.Edx;
    }
}
