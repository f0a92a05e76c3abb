using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>XENMEM commands that tell where the machine-to-physical table is.</summary>
internal static class MachineToPhysicalInformation
{
    // MACH2PHYS_VIRT_END (xen/include/public/arch-x86/xen-x86_64.h).
    private const ulong TableEnd = 0xffff804000000000;
    private const int LargePageShift = 21;

    internal static long Handle(uint command, ulong argument)
    {
        switch (command)
        {
            case MemoryCommand.MachphysMapping:
                return GetMapping(argument);
            case MemoryCommand.MachphysMfnList:
                return GetFrameList(argument);
            default:
                // XENMEM_machphys_compat_mfn_list: there are no 32-bit guests.
                return -Errno.EOPNOTSUPP;
        }
    }

    private static long GetMapping(ulong argument)
    {
        MemoryMachphysMapping mapping = new()
        {
            Start = AddressSpace.MachineToPhysicalBase,
            End = TableEnd,
            MaximumFrame = MachineToPhysical.Entries - 1,
        };
        return GuestMemory.TryWrite(argument, in mapping) ? 0 : -Errno.EFAULT;
    }

    private static long GetFrameList(ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out MemoryMachphysList list))
        {
            return -Errno.EFAULT;
        }

        ulong bytes = MachineToPhysical.Entries * MachineToPhysical.EntrySize;
        ulong extents = (bytes + (1UL << LargePageShift) - 1) >> LargePageShift;
        uint stored = 0;
        for (; stored < list.MaximumExtents && stored < extents; stored++)
        {
            ulong frame = (MachineToPhysical.PhysicalAddress + ((ulong)stored << LargePageShift)) >> Cpu.PageShift;
            if (!GuestMemory.TryWriteElement(list.ExtentStart, stored, in frame))
            {
                return -Errno.EFAULT;
            }
        }

        list.ExtentCount = stored;
        return GuestMemory.TryWrite(argument, in list) ? 0 : -Errno.EFAULT;
    }
}
