using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct xen_memory_map (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryMap
{
    /// <summary>Entries that fit in the buffer; on return, those stored.</summary>
    public uint EntryCount;
    private readonly uint _padding;

    /// <summary>Linear address of an array of <see cref="MemoryMapEntry"/>.</summary>
    public ulong Buffer;
}

/// <summary>struct e820entry; 20 bytes, packed.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4, Size = 20)]
public struct MemoryMapEntry
{
    /// <summary>E820_RAM.</summary>
    public const uint Ram = 1;

    /// <summary>E820_RESERVED.</summary>
    public const uint Reserved = 2;

    /// <summary>Pseudo-physical address.</summary>
    public ulong Address;

    /// <summary>Bytes.</summary>
    public ulong Size;
    public uint Type;
}
