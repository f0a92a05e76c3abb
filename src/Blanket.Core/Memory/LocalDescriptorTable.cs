using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// The LDT of a vCPU: a linear range of the guest's (MMUEXT_SET_LDT). Its frames are checked and mapped one by one, when the CPU
/// first faults on them.
/// </summary>
public static class LocalDescriptorTable
{
    /// <summary>The most entries of an LDT (Intel SDM vol. 3, 3.5.1).</summary>
    public const uint MaximumEntries = 8192;

    /// <summary>The most frames of an LDT.</summary>
    public const int MaximumFrames = (int)MaximumEntries * 8 / Cpu.PageSize;

    /// <summary>Gives the running vCPU another LDT.</summary>
    /// <returns>0, or -EINVAL for too many entries or an address that is not page-aligned or not the guest's.</returns>
    internal static int Set(Vcpu caller, ulong linear, uint entries)
    {
        if (entries == 0)
        {
            linear = 0;
        }

        if (entries > MaximumEntries || (linear & (Cpu.PageSize - 1)) != 0 || !AddressSpace.IsGuestRange(linear, entries * 8))
        {
            return -Errno.EINVAL;
        }

        if (caller.LdtEntries == entries && caller.LdtBase == linear)
        {
            return 0;
        }

        caller.Domain.PageTableLock.Acquire();
        caller.LdtBase = linear;
        caller.LdtEntries = entries;
        DropLocked(caller);
        caller.Domain.PageTableLock.Release();
        DescriptorWindow.Current?.ReloadLdt(caller);
        return 0;
    }

    /// <summary>
    /// Maps the frame of the running vCPU's LDT that holds the byte at <paramref name="offset"/>: for a page fault of the CPU
    /// in its LDT window, or of the emulator's descriptor reads.
    /// </summary>
    /// <returns>False when there is none, it is mapped already, or it may not be part of an LDT: the guest gets the fault.</returns>
    public static bool TryMap(Vcpu running, uint offset)
    {
        int index = (int)(offset >> Cpu.PageShift);
        if (offset >> 3 >= running.LdtEntries || index >= MaximumFrames || running.LdtFrames[index] != 0)
        {
            return false;
        }

        Domain domain = running.Domain;
        domain.PageTableLock.Acquire();
        ulong entry = GuestPageWalk.ReadL1Entry(running.KernelRoot, running.LdtBase + offset);
        ulong frame = PageTableEntry.Frame(entry);
        bool mapped = (entry & PageTableEntry.Present) != 0 && SegmentDescriptors.TryGetFrame(domain, frame);
        if (mapped)
        {
            running.LdtFrames[index] = frame;
        }

        domain.PageTableLock.Release();
        if (mapped)
        {
            DescriptorWindow.Current?.ReloadLdt(running);
        }

        return mapped;
    }

    /// <summary>Drops the mapped frames of the running vCPU's LDT, because its addresses mean something else now; the lock is held.</summary>
    internal static void Drop(Vcpu running)
    {
        if (DropLocked(running))
        {
            DescriptorWindow.Current?.ReloadLdt(running);
        }
    }

    /// <summary>Drops the mapped frames of an LDT; the page-table lock is held.</summary>
    /// <returns>Whether there were any.</returns>
    internal static bool DropLocked(Vcpu vcpu)
    {
        bool any = false;
        ulong[] frames = vcpu.LdtFrames;
        for (int i = 0; i < frames.Length; i++)
        {
            ulong frame = frames[i];
            frames[i] = 0;
            if (frame != 0)
            {
                SegmentDescriptors.PutFrame(frame);
                any = true;
            }
        }

        return any;
    }
}
