using Blanket.Core.Domains;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_fpu_taskswitch: the guest's CR0.TS.</summary>
public static class FpuTaskswitchHypercall
{
    /// <summary>A1 0 clears the bit, anything else sets it.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        caller.State.TaskSwitched = arguments.A1 != 0 ? (byte)1 : (byte)0;
        return 0;
    }
}
