using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_stack_switch: the kernel stack for entries from guest user mode.</summary>
public static class StackSwitchHypercall
{
    /// <summary>A1 stack selector, A2 stack pointer.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        ref VcpuState state = ref caller.State;
        state.KernelStackSegment = GuestSelector.WithGuestPrivilege((ushort)arguments.A1);
        state.KernelStackPointer = arguments.A2;
        return 0;
    }
}
