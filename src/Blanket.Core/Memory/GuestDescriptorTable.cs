using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>The guest's part of a vCPU's GDT; HYPERVISOR_set_gdt (xen/include/public/xen.h).</summary>
public static class GuestDescriptorTable
{
    /// <summary>FIRST_RESERVED_GDT_ENTRY: entries of a guest.</summary>
    public const uint MaximumGdtEntries = Selector.FirstReservedGdtEntry;

    /// <summary>FIRST_RESERVED_GDT_PAGE.</summary>
    public const int MaximumGdtFrames = (int)MaximumGdtEntries / EntriesPerFrame;

    private const int EntriesPerFrame = 512;

    /// <summary>rdi: array of machine frames; rsi: entries.</summary>
    /// <returns>0; -EINVAL for too many entries or a frame that cannot be part of a GDT; -EFAULT.</returns>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        uint entries = unchecked((uint)arguments.A2);
        if (entries > MaximumGdtEntries)
        {
            return -Errno.EINVAL;
        }

        Span<ulong> frames = stackalloc ulong[MaximumGdtFrames];
        int count = (int)(entries + EntriesPerFrame - 1) / EntriesPerFrame;
        for (int i = 0; i < count; i++)
        {
            if (!GuestMemory.TryReadElement(arguments.A1, (ulong)i, out frames[i]))
            {
                return -Errno.EFAULT;
            }
        }

        int result = Set(caller, frames.Slice(0, count), entries);
        if (result == 0)
        {
            DescriptorWindow.Current?.ReloadGdt(caller);
        }

        FrameQuarantine.Drain();
        return result;
    }

    /// <summary>Gives a vCPU, the running one or one that does not run, another GDT.</summary>
    /// <returns>0, or -EINVAL when a frame cannot be part of a GDT.</returns>
    public static int Set(Vcpu vcpu, ReadOnlySpan<ulong> frames, uint entries)
    {
        if (entries > MaximumGdtEntries || frames.Length > MaximumGdtFrames)
        {
            return -Errno.EINVAL;
        }

        Domain domain = vcpu.Domain;
        domain.PageTableLock.Acquire();
        int result = 0;
        for (int i = 0; i < frames.Length; i++)
        {
            if (!SegmentDescriptors.TryGetFrame(domain, frames[i]))
            {
                for (int j = 0; j < i; j++)
                {
                    SegmentDescriptors.PutFrame(frames[j]);
                }

                result = -Errno.EINVAL;
                break;
            }
        }

        if (result == 0)
        {
            DropLocked(vcpu);
            frames.CopyTo(vcpu.GdtFrames);
            vcpu.GdtEntries = entries;
        }

        domain.PageTableLock.Release();
        return result;
    }

    /// <summary>Takes the GDT from a vCPU; the page-table lock is held.</summary>
    internal static void DropLocked(Vcpu vcpu)
    {
        ulong[] frames = vcpu.GdtFrames;
        vcpu.GdtEntries = 0;
        for (int i = 0; i < frames.Length; i++)
        {
            ulong frame = frames[i];
            frames[i] = 0;
            if (frame != 0)
            {
                SegmentDescriptors.PutFrame(frame);
            }
        }
    }
}
