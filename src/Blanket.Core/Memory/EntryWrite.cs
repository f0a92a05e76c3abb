using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Checked writes of entries of validated tables. The page-table lock of the tables' owner is held; the caller has checked
/// that the frame is a validated table of the level.
/// </summary>
internal static class EntryWrite
{
    /// <summary>Writes an L1 entry.</summary>
    /// <param name="location">The entry's place.</param>
    /// <param name="value">New contents.</param>
    /// <param name="preserve">Keeps accessed and dirty bits that the CPU has set (MMU_PT_UPDATE_PRESERVE_AD).</param>
    /// <param name="mapper">Owner of the table.</param>
    /// <param name="frameOwner">Id of the domain that must own the frame of a present entry.</param>
    /// <returns>0, or the errors of <see cref="L1Entry.Get"/>: then nothing has changed.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int L1(ref ulong location, ulong value, bool preserve, Domain mapper, ushort frameOwner)
    {
        ulong old = Volatile.Read(ref location);
        if ((value & PageTableEntry.Present) != 0)
        {
            if ((value & PageTableEntry.L1Refused) != 0)
            {
                return -Errno.EINVAL;
            }

            value = PageTableEntry.AdjustL1(value);
            if (((old ^ value) & ~PageTableEntry.Unchecked) == 0)
            {
                Store(ref location, old, value, preserve);
                return 0;
            }

            int result = L1Entry.Get(value, frameOwner);
            if (result < 0)
            {
                return result;
            }
        }

        Store(ref location, old, value, preserve);
        L1Entry.Put(old, mapper);
        return 0;
    }

    /// <summary>Writes an entry of an L2, L3 or L4 table.</summary>
    /// <param name="owner">Owner of the table and of what it refers to.</param>
    /// <param name="table">The table.</param>
    /// <param name="level">Its level, 2 to 4.</param>
    /// <param name="slot">The entry, 0 to 511.</param>
    /// <param name="value">New contents.</param>
    /// <param name="preserve">Keeps accessed and dirty bits.</param>
    /// <param name="actor">The vCPU on whose behalf this happens; what the old entry referred to may become its pending table.</param>
    /// <returns>0; -ERESTART when the same write should be tried again; other errors when nothing has changed.</returns>
    internal static int Upper(Domain owner, ulong table, int level, int slot, ulong value, bool preserve, Vcpu actor)
    {
        if (level == 4 && HypervisorSlots.Contains(slot))
        {
            return -Errno.EINVAL;
        }

        ref ulong location = ref PhysicalMemory.At<ulong>((table << Cpu.PageShift) + (uint)slot * sizeof(ulong));
        ulong old = Volatile.Read(ref location);
        if ((value & PageTableEntry.Present) != 0)
        {
            if ((value & PageTableEntry.UpperRefused) != 0)
            {
                return -Errno.EINVAL;
            }

            value = PageTableEntry.AdjustUpper(value, level);
            if (((old ^ value) & ~PageTableEntry.Unchecked) == 0)
            {
                Store(ref location, old, value, preserve);
                return 0;
            }

            int result = UpperEntry.Get(owner, value, table, level, actor, hasReference: false, keepsReference: false);
            if (result < 0)
            {
                return result;
            }
        }

        Store(ref location, old, value, preserve);
        if (UpperEntry.HoldsReference(old, table))
        {
            _ = PendingTable.Drop(actor, owner, PageTableEntry.Frame(old), table);
        }

        return 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(ref ulong location, ulong old, ulong value, bool preserve)
    {
        if (preserve)
        {
            StorePreserving(ref location, old, value);
        }
        else
        {
            Volatile.Write(ref location, value);
        }
    }

    private static void StorePreserving(ref ulong location, ulong old, ulong value)
    {
        while (true)
        {
            ulong merged = value | (old & (PageTableEntry.Accessed | PageTableEntry.Dirty));
            ulong seen = Interlocked.CompareExchange(ref location, merged, old);
            if (seen == old)
            {
                return;
            }

            // Only the CPU changes entries of a validated table behind the lock, and only these two bits.
            Check.That(((seen ^ old) & ~(PageTableEntry.Accessed | PageTableEntry.Dirty)) == 0);
            old = seen;
        }
    }
}
