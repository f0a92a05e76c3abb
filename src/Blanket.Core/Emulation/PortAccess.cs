using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>
/// I/O ports of a guest that owns none: reads give all ones, writes are dropped. Two latches are the exception, which Xen has
/// for every PV guest: PCI CONFIG_ADDRESS (0xcf8) and the CMOS index (0x70). The counters of the interval timer read as 0, as
/// ones that stand still: on all ones, Linux's calibration takes 100,000 reads to find out that there is no timer.
/// </summary>
internal static class PortAccess
{
    private const uint PciAddressPort = 0xcf8;
    private const int PciAddressSize = 4;
    private const uint CmosIndexPort = 0x70;
    private const uint FirstTimerCounterPort = 0x40;
    private const uint LastTimerCounterPort = 0x42;
    private const byte Floating = 0xff;

    private const int KernelPrivilege = 1;
    private const int ArchitecturalKernelPrivilege = 0;
    private const int UserPrivilege = 3;

    /// <summary>
    /// Whether the guest's I/O privilege level covers the mode that it is in. Guest kernels count as privilege 1 unless they have
    /// enabled VMASST_TYPE_architectural_iopl.
    /// </summary>
    internal static bool HasPrivilege(Vcpu vcpu)
    {
        int current = vcpu.State.InKernel == 0
            ? UserPrivilege
            : vcpu.Domain.HasVmAssist(MmuVmAssist.ArchitecturalIopl) ? ArchitecturalKernelPrivilege : KernelPrivilege;
        return current <= vcpu.State.IoPrivilegeLevel;
    }

    /// <summary>Whether the mode that the guest is in may use a range of ports: by privilege level or by the I/O bitmap.</summary>
    internal static bool IsAllowed(Vcpu vcpu, uint port, int size)
    {
        if (HasPrivilege(vcpu))
        {
            return true;
        }

        if (port + (uint)size > vcpu.IoBitmapPorts)
        {
            return false;
        }

        ulong address = unchecked(vcpu.IoBitmapAddress + (port >> 3));
        uint denied = ReadBitmap(vcpu, address) | (ReadBitmap(vcpu, unchecked(address + 1)) << 8);
        return (denied & (((1U << size) - 1) << (int)(port & 7))) == 0;
    }

    /// <summary>What a read of 1, 2 or 4 bytes gives.</summary>
    internal static uint Read(Domain domain, uint port, int size)
    {
        if (port == PciAddressPort && size == PciAddressSize)
        {
            return domain.PciConfigAddress;
        }

        uint value = 0;
        for (int i = 0; i < size; i++)
        {
            value |= (uint)ReadByte(domain, port + (uint)i) << (8 * i);
        }

        return value;
    }

    private static byte ReadByte(Domain domain, uint port) => port switch
    {
        CmosIndexPort => domain.CmosIndex,
        >= FirstTimerCounterPort and <= LastTimerCounterPort => 0,
        _ => Floating,
    };

    /// <summary>A write of 1, 2 or 4 bytes.</summary>
    internal static void Write(Domain domain, uint port, int size, uint value)
    {
        if (port == PciAddressPort && size == PciAddressSize)
        {
            domain.PciConfigAddress = value;
            return;
        }

        uint offset = unchecked(CmosIndexPort - port);
        if (offset < (uint)size)
        {
            domain.CmosIndex = (byte)(value >> (8 * (int)offset));
        }
    }

    // A byte of the bitmap, which guest kernels keep in memory that guest user mode does not map. What cannot be read denies.
    private static uint ReadBitmap(Vcpu vcpu, ulong address)
    {
        vcpu.Domain.PageTableLock.Acquire();
        ulong entry = GuestPageWalk.ReadL1Entry(vcpu.KernelRoot, address);
        ulong physical = (entry & PageTableEntry.AddressMask) | (address & (Cpu.PageSize - 1));
        bool readable = (entry & PageTableEntry.Present) != 0 && FrameTable.IsValid(physical >> Cpu.PageShift);
        uint value = readable ? PhysicalMemory.Read<byte>(physical) : Floating;
        vcpu.Domain.PageTableLock.Release();
        return value;
    }
}
