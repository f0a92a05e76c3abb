using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct xen_memory_exchange (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryExchange
{
    /// <summary>Offset of <see cref="ExchangedCount"/>.</summary>
    public const ulong ExchangedCountOffset = 64;

    /// <summary>Extents that the guest gives up.</summary>
    public MemoryReservation In;

    /// <summary>Extents that it gets.</summary>
    public MemoryReservation Out;

    /// <summary>Input extents done: read and written.</summary>
    public ulong ExchangedCount;
}
