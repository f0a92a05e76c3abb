using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Traps;

/// <summary>The way back to a guest failed: its code or stack selector or its addresses are not usable.</summary>
public static class GuestReturn
{
    private const byte GeneralProtection = 13;

    /// <summary>
    /// IRETQ raised an exception. In guest kernel mode the failsafe callback gets it, as for bad selectors;
    /// in guest user mode it becomes #GP at the address that could not be reached.
    /// </summary>
    public static void Failed(Vcpu vcpu, byte vector, uint errorCode)
    {
        ref VcpuState state = ref vcpu.State;
        ref GuestRegisters registers = ref state.Registers;

        // What could not be loaded must not stay: the next try would fault again.
        registers.Cs = Selectors.GuestCode64;
        registers.Ss = Selectors.GuestData;
        if (state.InKernel != 0 && state.FailsafeCallback != 0)
        {
            TrapDelivery.DeliverFailsafe(vcpu);
        }
        else
        {
            TrapDelivery.Inject(vcpu, GeneralProtection, errorCode);
        }
    }
}
