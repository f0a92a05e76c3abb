using System.Threading;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>What became of a guest's write to what may be one of its page tables.</summary>
public enum PageTableWriteResult
{
    /// <summary>The address is not mapped read-only to an L1 table of the guest, or the write is not aligned: the guest gets its fault.</summary>
    NotPageTable,

    /// <summary>The entry was written.</summary>
    Written,

    /// <summary>A compare-and-exchange found another value; nothing was written.</summary>
    Different,

    /// <summary>The new entry is not allowed; nothing was written.</summary>
    Refused,
}

/// <summary>
/// Writes that a guest kernel does straight to its L1 tables, which it maps read-only (VMASST_TYPE_writable_pagetables): they
/// fault, the instruction is decoded, and the write is checked as one of mmu_update.
/// </summary>
public static class GuestPageTableWrites
{
    /// <summary>
    /// Whether a write fault is of this kind, so that decoding the instruction is worth it: the address is mapped read-only to a
    /// frame that is an L1 table of the guest.
    /// </summary>
    public static bool MayBePageTable(Vcpu vcpu, ulong linear)
    {
        ulong entry = GuestPageWalk.ReadL1Entry(vcpu.KernelRoot, linear);
        return TryGetTable(vcpu.Domain, entry, out _);
    }

    /// <summary>Does a write, or a compare-and-exchange.</summary>
    /// <param name="vcpu">The running vCPU, in guest kernel mode.</param>
    /// <param name="linear">Where it writes; a multiple of <paramref name="size"/>.</param>
    /// <param name="expected">For a compare-and-exchange, the value that must be there.</param>
    /// <param name="value">What it writes, in the low bytes.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    /// <param name="compareExchange">Write only if <paramref name="expected"/> is there.</param>
    /// <param name="seen">The bytes that were there before.</param>
    public static PageTableWriteResult TryWrite(
        Vcpu vcpu, ulong linear, ulong expected, ulong value, int size, bool compareExchange, out ulong seen)
    {
        seen = 0;
        if (size is not 1 and not 2 and not 4 and not 8 || (linear & (uint)(size - 1)) != 0)
        {
            return PageTableWriteResult.NotPageTable;
        }

        Domain domain = vcpu.Domain;
        domain.PageTableLock.Acquire();
        PageTableWriteResult result = PageTableWriteResult.NotPageTable;
        ulong mapping = GuestPageWalk.ReadL1Entry(vcpu.KernelRoot, linear);
        if (TryGetTable(domain, mapping, out ulong table))
        {
            int shift = (int)(linear & 7) * 8;
            ulong mask = (size == 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1) << shift;
            ref ulong location = ref PhysicalMemory.At<ulong>((table << Cpu.PageShift) + (linear & (Cpu.PageSize - 8)));
            result = Apply(ref location, domain, expected << shift & mask, value << shift & mask, mask, compareExchange, out seen);
            seen = (seen & mask) >> shift;
        }

        domain.PageTableLock.Release();
        FrameQuarantine.Drain();
        return result;
    }

    private static bool TryGetTable(Domain domain, ulong mapping, out ulong table)
    {
        table = PageTableEntry.Frame(mapping);
        return (mapping & (PageTableEntry.Present | PageTableEntry.Writable)) == PageTableEntry.Present && L1Table.Is(domain, table);
    }

    private static PageTableWriteResult Apply(
        ref ulong location, Domain domain, ulong expected, ulong value, ulong mask, bool compareExchange, out ulong seen)
    {
        while (true)
        {
            seen = Volatile.Read(ref location);
            if (compareExchange && (seen & mask) != expected)
            {
                return PageTableWriteResult.Different;
            }

            ulong entry = (seen & ~mask) | value;
            bool counted = false;
            if ((entry & PageTableEntry.Present) != 0)
            {
                if ((entry & PageTableEntry.L1Refused) != 0)
                {
                    return PageTableWriteResult.Refused;
                }

                entry = PageTableEntry.AdjustL1(entry);
                counted = ((seen ^ entry) & ~PageTableEntry.Unchecked) != 0;
                if (counted && L1Entry.Get(entry, domain.Id) < 0)
                {
                    return PageTableWriteResult.Refused;
                }
            }
            else
            {
                counted = true;
            }

            if (Interlocked.CompareExchange(ref location, entry, seen) == seen)
            {
                if (counted)
                {
                    L1Entry.Put(seen, domain);
                }

                return PageTableWriteResult.Written;
            }

            // The CPU has set an accessed or dirty bit meanwhile.
            if (counted)
            {
                L1Entry.Put(entry, domain);
            }
        }
    }
}
