using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>Page-table entries of a guest that map other domains' granted frames, by GNTMAP_* flags.</summary>
internal static class HostMapping
{
    private const int AvailableEntryShift = 9;

    /// <summary>Stores an entry; what was there before is dropped. It owns the reference (and type count) that the caller has on the frame.</summary>
    /// <param name="caller">The mapping vCPU.</param>
    /// <param name="address">Linear address to map, or with GNTMAP_contains_pte the machine address of the entry.</param>
    /// <param name="frame">The granted frame.</param>
    /// <param name="flags">GNTMAP_*.</param>
    /// <returns>GNTST_okay; GNTST_general_error when there is no such entry in an L1 table of the caller.</returns>
    public static short Create(Vcpu caller, ulong address, ulong frame, uint flags) =>
        GrantEntry.TryInstall(caller, address, IsEntryAddress(flags), Entry(frame, flags))
            ? GrantTableStatus.Okay
            : GrantTableStatus.GeneralError;

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
    public static short Remove(Vcpu caller, ulong address, ulong frame, ulong replacement, uint flags) =>
        GrantEntry.TryRemove(caller, address, IsEntryAddress(flags), frame, (flags & GrantMapFlags.ReadOnly) == 0, replacement)
            ? GrantTableStatus.Okay
            : GrantTableStatus.GeneralError;

    private static bool IsEntryAddress(uint flags) => (flags & GrantMapFlags.ContainsEntry) != 0;

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

        return entry | (((ulong)(flags >> GrantMapFlags.AvailableShift) << AvailableEntryShift) & PageTableEntry.Available);
    }
}
