using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>XCR0 of guests: XSETBV is emulated, XGETBV is not intercepted, so the CPU holds the guest's value while it runs.</summary>
public static class GuestXcr0
{
    /// <summary>XCR0 of a vCPU that has not run yet.</summary>
    public static void Reset(Vcpu vcpu)
    {
        vcpu.GuestXcr0 = ExtendedState.X87AndSse;
        if (CpuidPolicy.Current.Xstate.Components != 0)
        {
            ExtendedControl.Load(ref vcpu.State, ExtendedState.X87AndSse);
        }
    }

    /// <summary>XSETBV of XCR0 by the vCPU that runs on this CPU.</summary>
    /// <returns>False for a value that guests may not have: #GP.</returns>
    public static bool TrySet(Vcpu vcpu, ulong value)
    {
        if (!CpuidPolicy.Current.Xstate.IsValid(value))
        {
            return false;
        }

        vcpu.GuestXcr0 = value;
        ExtendedControl.Load(ref vcpu.State, value);
        return true;
    }
}
