using Blanket.Machine;

namespace Blanket.Kernel.Boot;

/// <summary>The PVH protocol: struct hvm_start_info of xen/include/public/arch-x86/hvm/start_info.h.</summary>
public partial struct BootInformation
{
    private const uint PvhMagic = 0x336ec578;
    private const uint PvhHeaderSize = 56;
    private const uint PvhMapEntrySize = 24;
    private const uint PvhModuleSize = 32;

    private BootStatus ParsePvh(ulong address)
    {
        if (!IsReadable(address, PvhHeaderSize))
        {
            return BootStatus.OutOfReach;
        }

        // The memory map came with version 1; without it there is nothing to stand on.
        uint magic = PhysicalMemory.Read<uint>(address);
        uint version = PhysicalMemory.Read<uint>(address + 4);
        if (magic != PvhMagic || version == 0)
        {
            return BootStatus.Malformed;
        }

        uint modules = PhysicalMemory.Read<uint>(address + 12);
        ulong moduleList = PhysicalMemory.Read<ulong>(address + 16);
        ulong commandLine = PhysicalMemory.Read<ulong>(address + 24);
        RootPointer = PhysicalMemory.Read<ulong>(address + 32);
        ulong map = PhysicalMemory.Read<ulong>(address + 40);
        uint mapEntries = PhysicalMemory.Read<uint>(address + 48);

        BootStatus status = TakeMemoryMap(map, mapEntries, PvhMapEntrySize);
        if (status != BootStatus.Valid)
        {
            return status;
        }

        if (modules != 0 && !IsReadable(moduleList, PvhModuleSize))
        {
            return BootStatus.OutOfReach;
        }

        if (modules != 0)
        {
            TakeModule(PhysicalMemory.Read<ulong>(moduleList), PhysicalMemory.Read<ulong>(moduleList + 8));
            ModuleCount = modules;
        }

        TakeCommandLine(commandLine, CommandLineCapacity);
        return BootStatus.Valid;
    }
}
