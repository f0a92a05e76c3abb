using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_set_segment_base: FS and GS bases of the running vCPU, in guest kernel mode.</summary>
public static class SetSegmentBaseHypercall
{
    /// <summary>A1 SEGBASE_*, A2 base or selector.</summary>
    /// <returns>0; -EINVAL for a base that is not canonical or an unknown SEGBASE_*.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        ulong value = arguments.A2;
        uint which = (uint)arguments.A1;
        if (which == SegmentBase.GsUserSelector)
        {
            GuestSwitch.LoadUserGs((ushort)value);
            return 0;
        }

        if (!AddressSpace.IsCanonical(value))
        {
            return -Errno.EINVAL;
        }

        switch (which)
        {
            case SegmentBase.Fs:
                Cpu.WriteMsr(Msr.FsBase, value);
                return 0;
            case SegmentBase.GsUser:
                // The hypercall comes from guest kernel mode: the inactive base is user mode's.
                Cpu.WriteMsr(Msr.KernelGsBase, value);
                return 0;
            case SegmentBase.GsKernel:
                Cpu.WriteMsr(Msr.GsBase, value);
                return 0;
            default:
                return -Errno.EINVAL;
        }
    }
}
