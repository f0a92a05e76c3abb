using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct xen_memory_reservation (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryReservation
{
    /// <summary>XENMEMF_get_address_bits: mask of the address width in <see cref="Flags"/>, 0 for no limit.</summary>
    public const uint AddressBitsMask = 0xff;

    /// <summary>XENMEMF_get_node: where the node, plus one, stands in <see cref="Flags"/>.</summary>
    public const int NodeShift = 8;

    /// <summary>XENMEMF_populate_on_demand.</summary>
    public const uint PopulateOnDemand = 1 << 16;

    /// <summary>XENMEMF_exact_node_request.</summary>
    public const uint ExactNode = 1 << 17;

    /// <summary>XENMEMF_vnode.</summary>
    public const uint VirtualNode = 1 << 18;

    /// <summary>Linear address of the array of extents (xen_pfn_t); 0 for none.</summary>
    public ulong ExtentStart;
    public ulong ExtentCount;

    /// <summary>log2 of an extent's size in frames.</summary>
    public uint ExtentOrder;
    public uint Flags;
    public ushort DomainId;
    private readonly ushort _padding0;
    private readonly uint _padding1;
}
