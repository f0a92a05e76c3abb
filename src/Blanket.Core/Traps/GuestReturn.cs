using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Traps;

/// <summary>The way back to a guest failed: its code or stack selector or its addresses are not usable.</summary>
public static class GuestReturn
{
    private const byte PageFault = 14;

    /// <summary>
    /// IRETQ raised an exception: the guest gets it as if it had raised it where it wanted to go, and its frame shows the selectors and
    /// addresses that could not be loaded (Xen: the exception fix-up of the exit path).
    /// </summary>
    /// <param name="vcpu">The vCPU that runs on this CPU.</param>
    /// <param name="vector">The exception.</param>
    /// <param name="errorCode">Its error code; 0 for those without one.</param>
    /// <param name="faultAddress">CR2, read before anything could fault again; meant for page faults.</param>
    public static void Failed(Vcpu vcpu, byte vector, uint errorCode, ulong faultAddress)
    {
        if (vector == PageFault)
        {
            // A selector of the LDT, whose pages are mapped when the CPU first looks at them: then the way back is tried again.
            GuestExceptions.HandlePageFault(vcpu, ref vcpu.State, faultAddress, errorCode);
        }
        else
        {
            GuestExceptions.Inject(vcpu, vector, errorCode);
        }
    }
}
