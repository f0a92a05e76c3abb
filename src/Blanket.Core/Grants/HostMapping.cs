using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>L1 entries of a guest that map other domains' granted frames.</summary>
internal static class HostMapping
{
    /// <summary>Stores an entry; what was there before is dropped. The entry owns the reference (and type count) that the caller has on the frame.</summary>
    /// <param name="caller">The mapping vCPU.</param>
    /// <param name="address">Linear address to map, or with GNTMAP_contains_pte the machine address of the entry.</param>
    /// <param name="frame">The granted frame.</param>
    /// <param name="flags">GNTMAP_*.</param>
    /// <returns>GNTST_okay; GNTST_general_error when there is no such entry in an L1 table of the caller.</returns>
    public static short Create(Vcpu caller, ulong address, ulong frame, uint flags)
    {
        Domain domain = caller.Domain;
        domain.PageTableLock.Acquire();
        bool found = TryFind(caller, address, flags, out ulong location);
        if (found)
        {
            ulong old = Interlocked.Exchange(ref PhysicalMemory.At<ulong>(location), Entry(frame, flags));
            L1Entry.Put(old, domain);
        }

        domain.PageTableLock.Release();
        return found ? GrantTableStatus.Okay : GrantTableStatus.GeneralError;
    }

    /// <summary>
    /// Removes an entry that <see cref="Create"/> stored. What it owned is the caller's again, to be dropped after the domain's TLBs
    /// have been flushed.
    /// </summary>
    /// <param name="caller">The unmapping vCPU.</param>
    /// <param name="address">As for <see cref="Create"/>.</param>
    /// <param name="frame">The frame that must be mapped there.</param>
    /// <param name="replacement">Linear address whose entry is moved here; 0 for none.</param>
    /// <param name="flags">GNTMAP_* of the mapping.</param>
    /// <returns>GNTST_okay; GNTST_general_error when the frame is not mapped there like that.</returns>
    public static short Remove(Vcpu caller, ulong address, ulong frame, ulong replacement, uint flags)
    {
        if (replacement != 0 && (flags & GrantMapFlags.ContainsEntry) != 0)
        {
            return GrantTableStatus.GeneralError;
        }

        Domain domain = caller.Domain;
        domain.PageTableLock.Acquire();
        bool removed = TryFind(caller, address, flags, out ulong location)
            && Matches(Volatile.Read(ref PhysicalMemory.At<ulong>(location)), frame, flags)
            && TryReplace(caller, location, replacement);
        domain.PageTableLock.Release();
        return removed ? GrantTableStatus.Okay : GrantTableStatus.GeneralError;
    }

    private static bool TryReplace(Vcpu caller, ulong location, ulong replacement)
    {
        ulong entry = 0;
        if (replacement != 0)
        {
            if (!TryFind(caller, replacement, 0, out ulong source) || source == location)
            {
                return false;
            }

            entry = Interlocked.Exchange(ref PhysicalMemory.At<ulong>(source), 0UL);
        }

        Volatile.Write(ref PhysicalMemory.At<ulong>(location), entry);
        return true;
    }

    /// <summary>Finds the place of an entry in a validated L1 table of the caller, under its page-table lock.</summary>
    private static bool TryFind(Vcpu caller, ulong address, uint flags, out ulong location)
    {
        location = address;
        if ((flags & GrantMapFlags.ContainsEntry) == 0)
        {
            if (!GuestPageWalk.TryFindL1Entry(caller.KernelRoot, address, out location))
            {
                return false;
            }
        }
        else if (address % sizeof(ulong) != 0)
        {
            return false;
        }

        ulong table = location >> Cpu.PageShift;
        if (!FrameTable.IsValid(table))
        {
            return false;
        }

        ref FrameInfo info = ref FrameTable.Of(table);
        ulong type = Volatile.Read(ref info.Type);
        return info.State == FrameState.Domain && info.Owner == caller.Domain.Id
            && (type & (FrameType.Mask | FrameType.Validated)) == (FrameType.L1Table | FrameType.Validated)
            && (type & FrameType.CountMask) != 0;
    }

    private static bool Matches(ulong entry, ulong frame, uint flags)
    {
        ulong expected = Entry(frame, flags);
        const ulong compared = PageTableEntry.AddressMask | PageTableEntry.Present | PageTableEntry.Writable;
        return ((entry ^ expected) & compared) == 0;
    }

    private static ulong Entry(ulong frame, uint flags)
    {
        ulong entry = (frame << Cpu.PageShift)
            | PageTableEntry.Present | PageTableEntry.Accessed | PageTableEntry.Dirty | PageTableEntry.NoExecute;
        if ((flags & GrantMapFlags.Application) != 0)
        {
            entry |= PageTableEntry.User;
        }

        if ((flags & GrantMapFlags.ReadOnly) == 0)
        {
            entry |= PageTableEntry.Writable;
        }

        entry |= ((ulong)(flags >> GrantMapFlags.AvailableShift) << 9) & PageTableEntry.Available;
        return PageTableEntry.AdjustL1(entry);
    }
}
