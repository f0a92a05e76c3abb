using System.Runtime.CompilerServices;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>Registers that differ between vCPUs and that guests use without being intercepted: CR4's bits of theirs, MSR_TSC_AUX.</summary>
public static class ProcessorSwitch
{
    // By CPU number: one more than the TSC_AUX that the CPU holds; 0 while that is not known.
    private static LoadedValues s_tscAux;

    [InlineArray(Cpu.MaximumCpus)]
    private struct LoadedValues
    {
        private ulong _first;
    }

    /// <summary>Loads this CPU's registers for a vCPU that is about to run on it.</summary>
    public static void Load(Vcpu next)
    {
        ulong cr4 = ControlRegisters.HardwareCr4(next);
        if (cr4 != Cpu.ReadCr4())
        {
            Cpu.WriteCr4(cr4);
        }

        SetTscAux(next.TscAux);
    }

    /// <summary>Makes RDTSCP and RDPID on this CPU read a value.</summary>
    internal static void SetTscAux(uint value)
    {
        ref ulong loaded = ref s_tscAux[Cpu.Number];
        if (loaded != value + 1UL && MsrPolicy.HasTscAux)
        {
            Cpu.WriteMsr(Msr.TscAux, value);
            loaded = value + 1UL;
        }
    }
}
