using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>
/// The hypervisor's part of every address space: L4 slots 256-271 (docs/architecture.md, "Address space").
/// Numbers shared with assembly are in Assembly/layout.inc.
/// </summary>
public static class AddressSpace
{
    /// <summary>MACH2PHYS_VIRT_START: the machine-to-physical table, read-only to guests (arch-x86/xen-x86_64.h).</summary>
    public const ulong MachineToPhysicalBase = 0xffff800000000000;

    /// <summary>Per-CPU descriptor tables: 32 pages a CPU (guest GDT frames, reserved GDT frames, LDT frames).</summary>
    public const ulong DescriptorTablesBase = 0xffff808000000000;

    /// <summary>Device registers, mapped uncached as drivers ask for them.</summary>
    public const ulong DeviceBase = 0xffff810000000000;

    /// <summary>The image runs at this address plus its physical address; covers the first GiB of physical memory.</summary>
    public const ulong ImageBase = 0xffff82d040000000;

    /// <summary>All of physical memory, writable by the hypervisor only.</summary>
    public const ulong DirectMapBase = 0xffff830000000000;

    /// <summary>HYPERVISOR_VIRT_START: first address that a guest may not map.</summary>
    public const ulong HypervisorStart = 0xffff800000000000;

    /// <summary>HYPERVISOR_VIRT_END: first address above the hypervisor's.</summary>
    public const ulong HypervisorEnd = 0xffff880000000000;

    /// <summary>First non-canonical address.</summary>
    private const ulong LowerEnd = 0x0000800000000000;

    /// <summary>First L4 slot of the hypervisor.</summary>
    public const int FirstHypervisorSlot = 256;

    /// <summary>First L4 slot above the hypervisor's.</summary>
    public const int EndHypervisorSlot = 272;

    /// <summary>Bytes of an address-aligned CPU region: exception stacks, main stack, CpuBlock.</summary>
    public const int CpuRegionSize = 0x8000;

    /// <summary>Where in a CPU region its <see cref="CpuBlock"/> stands.</summary>
    public const int CpuBlockOffset = 0x7000;

    /// <summary>Whether a guest may use this linear address: canonical and not the hypervisor's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsGuestAddress(ulong address) =>
        address < LowerEnd || address >= HypervisorEnd;

    /// <summary>Whether a guest may use every byte of the range; a range that wraps around is not allowed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsGuestRange(ulong address, ulong length)
    {
        // Where the part of guest addresses that the range starts in ends; 0 at the end of all addresses, so that the room there
        // comes out right, too.
        ulong end = address < LowerEnd ? LowerEnd : 0;
        return IsGuestAddress(address) && length <= unchecked(end - address);
    }

    /// <summary>Whether bits 48-63 repeat bit 47.</summary>
    public static bool IsCanonical(ulong address) => unchecked((ulong)((long)(address << 16) >> 16)) == address;
}
