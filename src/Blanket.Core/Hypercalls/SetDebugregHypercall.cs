using Blanket.Core.Domains;
using Blanket.Core.Processor;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_set_debugreg.</summary>
public static class SetDebugregHypercall
{
    /// <summary>A1 register number, A2 value.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments) =>
        DebugRegisters.TrySet(caller, (uint)arguments.A1, arguments.A2);
}
