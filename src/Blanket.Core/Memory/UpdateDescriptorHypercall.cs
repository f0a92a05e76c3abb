using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>HYPERVISOR_update_descriptor: a checked write of a segment descriptor (xen/include/public/xen.h).</summary>
public static class UpdateDescriptorHypercall
{
    /// <summary>rdi: machine address of the descriptor; rsi: its new contents.</summary>
    /// <returns>0, or -EINVAL for a descriptor that guests may not have or a frame that may not be written.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        ulong address = arguments.A1;
        ulong descriptor = arguments.A2;
        if ((address & 7) != 0 || !SegmentDescriptors.TryFix(ref descriptor))
        {
            return -Errno.EINVAL;
        }

        Domain domain = caller.Domain;
        ulong frame = address >> Cpu.PageShift;
        if (!FrameReference.TryGet(domain, frame))
        {
            return -Errno.EINVAL;
        }

        domain.PageTableLock.Acquire();
        int result = WriteLocked(domain, frame, address, descriptor);
        domain.PageTableLock.Release();
        FrameReference.Put(frame);
        return result;
    }

    private static int WriteLocked(Domain domain, ulong frame, ulong address, ulong descriptor)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        bool isDescriptorFrame = (Volatile.Read(ref info.Type) & FrameType.Mask) == FrameType.SegmentDescriptors;
        bool allowed = isDescriptorFrame ? SegmentDescriptors.TryGetType(domain, frame) : WritableType.TryGet(ref info);
        if (!allowed)
        {
            return -Errno.EINVAL;
        }

        Volatile.Write(ref PhysicalMemory.At<ulong>(address), descriptor);
        WritableType.Put(ref info);
        return 0;
    }
}
