using Blanket.Machine;

namespace Blanket.Kernel.Boot;

/// <summary>The multiboot2 protocol: tags of the boot information (Multiboot2 specification, 3.6).</summary>
public partial struct BootInformation
{
    private const uint Multiboot2HeaderSize = 8;
    private const uint Multiboot2TagSize = 8;
    private const uint Multiboot2MaximumSize = 1 << 20;

    private enum Multiboot2Tag : uint
    {
        End = 0,
        CommandLine = 1,
        Module = 3,
        MemoryMap = 6,
        OldRootPointer = 14,
        NewRootPointer = 15,
    }

    private BootStatus ParseMultiboot2(ulong address)
    {
        if (!IsReadable(address, Multiboot2HeaderSize))
        {
            return BootStatus.OutOfReach;
        }

        uint size = PhysicalMemory.Read<uint>(address);
        if (size < Multiboot2HeaderSize || size > Multiboot2MaximumSize)
        {
            return BootStatus.Malformed;
        }

        if (!IsReadable(address, size))
        {
            return BootStatus.OutOfReach;
        }

        BootStatus mapStatus = BootStatus.NoMemory;
        uint offset = Multiboot2HeaderSize;
        while (size - offset >= Multiboot2TagSize)
        {
            Multiboot2Tag type = (Multiboot2Tag)PhysicalMemory.Read<uint>(address + offset);
            uint tagSize = PhysicalMemory.Read<uint>(address + offset + 4);
            if (tagSize < Multiboot2TagSize || tagSize > size - offset)
            {
                return BootStatus.Malformed;
            }

            if (type == Multiboot2Tag.End)
            {
                break;
            }

            TakeMultiboot2Tag(type, address + offset, tagSize, ref mapStatus);

            // Tags start at multiples of 8; the last one's padding may be cut off.
            uint step = (tagSize + 7) & ~7U;
            if (step >= size - offset)
            {
                break;
            }

            offset += step;
        }

        return mapStatus;
    }

    private void TakeMultiboot2Tag(Multiboot2Tag type, ulong tag, uint tagSize, ref BootStatus mapStatus)
    {
        uint contentSize = tagSize - Multiboot2TagSize;
        ulong content = tag + Multiboot2TagSize;
        switch (type)
        {
            case Multiboot2Tag.CommandLine:
                TakeCommandLine(content, contentSize);
                break;
            case Multiboot2Tag.Module when contentSize >= 8:
                uint start = PhysicalMemory.Read<uint>(content);
                uint end = PhysicalMemory.Read<uint>(content + 4);
                TakeModule(start, end > start ? end - start : 0);
                break;
            case Multiboot2Tag.MemoryMap when contentSize >= 8 && mapStatus != BootStatus.Valid:
                uint entrySize = PhysicalMemory.Read<uint>(content);
                mapStatus = entrySize == 0
                    ? BootStatus.Malformed
                    : TakeMemoryMap(content + 8, (contentSize - 8) / entrySize, entrySize);
                break;
            case Multiboot2Tag.OldRootPointer when RootPointer == 0:
            case Multiboot2Tag.NewRootPointer:
                // The tag holds a copy of the root pointer; the newer revision knows the 64-bit table.
                RootPointer = content;
                break;
            default:
                break;
        }
    }
}
