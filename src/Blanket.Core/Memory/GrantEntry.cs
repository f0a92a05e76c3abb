using System.Threading;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// L1 entries that map granted frames (GNTTABOP_map_grant_ref and its undo, xen/include/public/grant_table.h). The grant code
/// takes a reference, and for a writable mapping a writable type count, before it installs the entry, and gets them back when it
/// removes it; a guest that overwrites the entry by other means drops them.
/// </summary>
public static class GrantEntry
{
    /// <summary>Writes an entry whose references the caller holds and passes on.</summary>
    /// <param name="caller">The running vCPU, whose tables these are.</param>
    /// <param name="address">Machine address of an entry, or a linear address.</param>
    /// <param name="isEntryAddress">Which of the two (GNTMAP_contains_pte).</param>
    /// <param name="entry">The present entry; adjusted as any entry of a guest.</param>
    /// <returns>False when there is no such entry in a validated L1 table: the references stay the caller's.</returns>
    public static bool TryInstall(Vcpu caller, ulong address, bool isEntryAddress, ulong entry)
    {
        Domain domain = caller.Domain;
        domain.PageTableLock.Acquire();
        bool found = TryFind(caller, address, isEntryAddress, out ulong location);
        if (found)
        {
            ref ulong place = ref PhysicalMemory.At<ulong>(location);
            ulong old = Volatile.Read(ref place);
            Volatile.Write(ref place, PageTableEntry.AdjustL1(entry));
            L1Entry.Put(old, domain);
        }

        domain.PageTableLock.Release();
        return found;
    }

    /// <summary>
    /// Takes an entry away. The caller flushes TLBs (<see cref="TlbFlush.All"/>) and then drops the references that the entry held.
    /// </summary>
    /// <param name="caller">The running vCPU, whose tables these are.</param>
    /// <param name="address">Machine address of the entry, or a linear address.</param>
    /// <param name="isEntryAddress">Which of the two.</param>
    /// <param name="frame">The frame that it must map.</param>
    /// <param name="writable">Whether it must map it writable.</param>
    /// <param name="replacement">
    /// Linear address whose entry is moved in its place (GNTTABOP_unmap_and_replace); 0 to leave the place empty.
    /// </param>
    /// <returns>False when the entry is not there or maps something else: nothing has changed.</returns>
    public static bool TryRemove(
        Vcpu caller, ulong address, bool isEntryAddress, ulong frame, bool writable, ulong replacement)
    {
        Domain domain = caller.Domain;
        domain.PageTableLock.Acquire();
        bool removed = TryRemoveLocked(caller, address, isEntryAddress, frame, writable, replacement);
        domain.PageTableLock.Release();
        return removed;
    }

    private static bool TryRemoveLocked(
        Vcpu caller, ulong address, bool isEntryAddress, ulong frame, bool writable, ulong replacement)
    {
        if ((isEntryAddress && replacement != 0) || !TryFind(caller, address, isEntryAddress, out ulong location))
        {
            return false;
        }

        ref ulong place = ref PhysicalMemory.At<ulong>(location);
        ulong old = Volatile.Read(ref place);
        ulong needed = PageTableEntry.Present | (writable ? PageTableEntry.Writable : 0);
        if (PageTableEntry.Frame(old) != frame
            || (old & (PageTableEntry.Present | PageTableEntry.Writable)) != needed)
        {
            return false;
        }

        ulong moved = 0;
        if (replacement != 0)
        {
            if (!TryFind(caller, replacement, false, out ulong source) || source == location)
            {
                return false;
            }

            moved = Interlocked.Exchange(ref PhysicalMemory.At<ulong>(source), 0UL);
        }

        Volatile.Write(ref place, moved);
        return true;
    }

    private static bool TryFind(Vcpu caller, ulong address, bool isEntryAddress, out ulong location)
    {
        location = address;
        if (isEntryAddress)
        {
            if ((address & 7) != 0)
            {
                return false;
            }
        }
        else if (!GuestPageWalk.TryFindL1Entry(caller.KernelRoot, address, out location))
        {
            return false;
        }

        return L1Table.Is(caller.Domain, location >> Cpu.PageShift);
    }
}
