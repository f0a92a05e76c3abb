using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Processor;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_get_debugreg: the value is the result, so an error is one of the values.</summary>
public static class GetDebugregHypercall
{
    /// <summary>A1 register number.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments) =>
        DebugRegisters.TryGet(caller, (uint)arguments.A1, out ulong value) ? unchecked((long)value) : -Errno.ENODEV;
}
