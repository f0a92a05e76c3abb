using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;

namespace Blanket.Core.Memory;

/// <summary>HYPERVISOR_vm_assist: behaviour that a guest switches on and off (xen/include/public/xen.h).</summary>
public static class VmAssistHypercall
{
    // What Xen lets 64-bit PV guests name; some of it has a meaning for 32-bit guests only.
    private const ulong Valid =
        1UL << MmuVmAssist.FourGigabyteSegments
        | 1UL << MmuVmAssist.FourGigabyteSegmentsNotify
        | 1UL << MmuVmAssist.WritablePageTables
        | 1UL << MmuVmAssist.PaeExtendedCr3
        | 1UL << MmuVmAssist.ArchitecturalIopl
        | 1UL << MmuVmAssist.RunstateUpdateFlag
        | 1UL << MmuVmAssist.StrictMachineToPhysical;

    /// <summary>rdi: VMASST_CMD_*; rsi: VMASST_TYPE_*.</summary>
    /// <returns>0; -EINVAL for an unknown type; -ENOSYS for an unknown command.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        uint type = unchecked((uint)arguments.A2);
        if (type >= 64 || (Valid >> (int)type & 1) == 0)
        {
            return -Errno.EINVAL;
        }

        uint command = unchecked((uint)arguments.A1);
        if (command is not MmuVmAssist.Enable and not MmuVmAssist.Disable)
        {
            return -Errno.ENOSYS;
        }

        caller.Domain.SetVmAssist((int)type, command == MmuVmAssist.Enable);
        return 0;
    }
}
