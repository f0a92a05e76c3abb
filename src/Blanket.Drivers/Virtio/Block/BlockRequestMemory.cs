using System.Runtime.InteropServices;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Block;

/// <summary>The parts of each request that only driver and device share: header, discard segment, status (virtio 1.2, 5.2.6).</summary>
internal readonly struct BlockRequestMemory(ulong address)
{
    /// <summary>Bytes of a slot; one for each request id.</summary>
    public const uint SlotSize = 64;

    public const uint HeaderSize = 16;
    public const uint RangeSize = 16;
    private const uint RangeOffset = 16;
    private const uint StatusOffset = 32;

    [StructLayout(LayoutKind.Sequential)]
    private struct Header
    {
        public uint Type;
        public uint Reserved;
        public ulong Sector;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Range
    {
        public ulong Sector;
        public uint Sectors;
        public uint Flags;
    }

    public ulong HeaderAddress(ushort id) => address + id * SlotSize;

    public ulong RangeAddress(ushort id) => address + id * SlotSize + RangeOffset;

    public ulong StatusAddress(ushort id) => address + id * SlotSize + StatusOffset;

    /// <summary>Writes a header, and a status that no device writes.</summary>
    public void Prepare(ushort id, uint type, ulong sector)
    {
        ref Header header = ref PhysicalMemory.At<Header>(HeaderAddress(id));
        header.Type = type;
        header.Reserved = 0;
        header.Sector = sector;
        PhysicalMemory.Write(StatusAddress(id), BlockWire.StatusUnwritten);
    }

    /// <summary>Writes the segment of a discard or write zeroes request.</summary>
    public void PrepareRange(ushort id, ulong sector, uint sectors, uint flags)
    {
        ref Range range = ref PhysicalMemory.At<Range>(RangeAddress(id));
        range.Sector = sector;
        range.Sectors = sectors;
        range.Flags = flags;
    }

    /// <summary>How the device says that a request ended.</summary>
    public byte ReadStatus(ushort id) => PhysicalMemory.Read<byte>(StatusAddress(id));
}
