using System.Threading;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Software walk of a vCPU's page tables. Tables reached from a root are read as they are; the result is only a hint
/// unless the domain's page-table lock is held.
/// </summary>
public static class GuestPageWalk
{
    /// <summary>Finds the L1 table and the place of the entry that a linear address is mapped by.</summary>
    /// <param name="root">Frame of the root table.</param>
    /// <param name="linear">The address.</param>
    /// <param name="entryAddress">Physical address of the L1 entry.</param>
    /// <returns>False when the address is not a guest's, or a table on the way is missing.</returns>
    public static bool TryFindL1Entry(ulong root, ulong linear, out ulong entryAddress)
    {
        entryAddress = 0;
        if (root == 0 || !AddressSpace.IsGuestAddress(linear))
        {
            return false;
        }

        ulong table = root << Cpu.PageShift;
        for (int shift = 39; shift >= 21; shift -= 9)
        {
            ulong entry = Volatile.Read(ref PhysicalMemory.At<ulong>(table + (linear >> shift & 511) * sizeof(ulong)));
            if ((entry & (PageTableEntry.Present | PageTableEntry.PageSize)) != PageTableEntry.Present)
            {
                return false;
            }

            table = entry & PageTableEntry.AddressMask;
            if (table >= PhysicalMemory.Limit)
            {
                return false;
            }
        }

        entryAddress = table + (linear >> Cpu.PageShift & 511) * sizeof(ulong);
        return true;
    }

    /// <summary>Reads the L1 entry of a linear address; 0 when there is none.</summary>
    public static ulong ReadL1Entry(ulong root, ulong linear) =>
        TryFindL1Entry(root, linear, out ulong address) ? Volatile.Read(ref PhysicalMemory.At<ulong>(address)) : 0;

    /// <summary>
    /// Translates an address of the vCPU's current mode as an access from ring 3 would be: present at every level, and writable or
    /// executable at every level if that is asked for.
    /// </summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="linear">The address.</param>
    /// <param name="write">The access writes.</param>
    /// <param name="execute">The access fetches instructions.</param>
    /// <param name="physical">The physical address.</param>
    /// <param name="entry">The L1 entry; 0 when none is present.</param>
    public static bool TryTranslate(Vcpu vcpu, ulong linear, bool write, bool execute, out ulong physical, out ulong entry)
    {
        physical = 0;
        entry = 0;
        ulong root = vcpu.State.InKernel != 0 ? vcpu.KernelRoot : vcpu.UserRoot;
        if (root == 0 || !AddressSpace.IsGuestAddress(linear))
        {
            return false;
        }

        ulong needed = PageTableEntry.Present | PageTableEntry.User | (write ? PageTableEntry.Writable : 0);
        ulong address = root << Cpu.PageShift;
        bool allowed = true;
        for (int shift = 39; shift >= 12; shift -= 9)
        {
            ulong current = Volatile.Read(ref PhysicalMemory.At<ulong>(address + (linear >> shift & 511) * sizeof(ulong)));
            if ((current & PageTableEntry.Present) == 0 || (shift != 12 && (current & PageTableEntry.PageSize) != 0))
            {
                return false;
            }

            allowed &= (current & needed) == needed && !(execute && (current & PageTableEntry.NoExecute) != 0);
            address = current & PageTableEntry.AddressMask;
            if (address >= PhysicalMemory.Limit)
            {
                return false;
            }

            entry = shift == 12 ? current : 0;
        }

        physical = address | (linear & (Cpu.PageSize - 1));
        return allowed;
    }
}
