using System.Numerics;
using Blanket.Machine;

namespace Blanket.Drivers.Pci;

/// <summary>A base address register (PCI Local Bus 3.0, 6.2.5.1).</summary>
public struct PciBar
{
    /// <summary>BARs of a function with the standard header.</summary>
    public const int MaximumCount = 6;

    private const uint IoIndicator = 1;
    private const uint TypeMask = 6;
    private const uint Type64 = 4;
    private const uint IoMask = ~3u;
    private const uint MemoryMask = ~15u;

    /// <summary>Physical address or first port; 0 when unassigned.</summary>
    public ulong Address;

    /// <summary>Bytes or ports, a power of two; 0 when the register is not implemented.</summary>
    public ulong Length;

    /// <summary>I/O ports rather than memory.</summary>
    public bool IsIo;

    /// <summary>Takes the next register too.</summary>
    public bool Is64;

    /// <summary>Implemented, but given no address.</summary>
    public readonly bool IsUnassigned => Length != 0 && Address == 0;

    /// <summary>Offset in configuration space of a BAR.</summary>
    public static int Offset(int index) => PciRegister.FirstBar + index * 4;

    /// <summary>Reads a BAR and finds its size. The function's decoding must be off: the size is found by writing to the register.</summary>
    public static PciBar Read(PciConfiguration configuration, PciAddress function, int index, bool mayBe64)
    {
        PciBar bar = default;
        int offset = Offset(index);
        uint low = configuration.Read32(function, offset);
        uint lowMask = Probe(configuration, function, offset, low);
        if ((low & IoIndicator) != 0)
        {
            bar.IsIo = true;
            // Ports are 16 bits wide on x86; devices may leave the upper half unimplemented.
            bar.Address = low & IoMask & 0xffff;
            bar.Length = LengthOf(lowMask & IoMask & 0xffff);
            return bar;
        }

        ulong address = low & MemoryMask;
        ulong mask = lowMask & MemoryMask;
        if ((low & TypeMask) == Type64 && mayBe64)
        {
            bar.Is64 = true;
            uint high = configuration.Read32(function, offset + 4);
            mask |= (ulong)Probe(configuration, function, offset + 4, high) << 32;
            address |= (ulong)high << 32;
        }

        bar.Address = address;
        bar.Length = LengthOf(mask);
        return bar;
    }

    /// <summary>Gives the BAR an address; decoding must be off.</summary>
    public void Assign(PciConfiguration configuration, PciAddress function, int index, ulong address)
    {
        Check.That((address & (Length - 1)) == 0);
        configuration.Write32(function, Offset(index), (uint)address);
        if (Is64)
        {
            configuration.Write32(function, Offset(index) + 4, (uint)(address >> 32));
        }

        Address = address;
    }

    private static uint Probe(PciConfiguration configuration, PciAddress function, int offset, uint original)
    {
        configuration.Write32(function, offset, uint.MaxValue);
        uint mask = configuration.Read32(function, offset);
        configuration.Write32(function, offset, original);
        return mask;
    }

    // The lowest address bit that can be set is the size.
    private static ulong LengthOf(ulong mask) => mask == 0 ? 0 : 1UL << BitOperations.TrailingZeroCount(mask);
}
