using System;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>The forced emulation prefix: ud2, "xen", cpuid (XEN_EMULATE_PREFIX of xen/include/public/arch-x86/xen.h).</summary>
public static class ForcedEmulation
{
    private const int Length = 7;

    private static ReadOnlySpan<byte> Sequence => new byte[] { 0x0f, 0x0b, (byte)'x', (byte)'e', (byte)'n', 0x0f, 0xa2 };

    /// <summary>Looks at an instruction of the running vCPU that raised #UD.</summary>
    public static EmulationResult Emulate(Vcpu vcpu)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        InstructionBytes bytes = InstructionBytes.Fetch(registers.Rip);
        for (int i = 0; i < Length; i++)
        {
            if (i >= bytes.Count)
            {
                return FetchFault.OfCode(vcpu, bytes);
            }

            if (bytes[i] != Sequence[i])
            {
                return EmulationResult.NotHandled;
            }
        }

        CpuidInstruction.Execute(vcpu, isForced: true);
        return Retirement.Complete(vcpu, Length);
    }
}
