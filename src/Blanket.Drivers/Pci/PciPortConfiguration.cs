using Blanket.Machine;

namespace Blanket.Drivers.Pci;

/// <summary>Configuration mechanism #1: an address port and a data window (PCI Local Bus 3.0, 3.2.2.3.2).</summary>
public sealed class PciPortConfiguration : PciConfiguration
{
    private const ushort AddressPort = 0xcf8;
    private const ushort DataPort = 0xcfc;
    private const uint Enable = 1u << 31;

    // The address port and the data window belong together.
    private SpinLock _lock = new(LockClass.Driver);

    public override uint Read(PciAddress function, int offset, int size)
    {
        _lock.Acquire();
        ushort port = Select(function, offset, size);
        uint value = size switch
        {
            1 => Cpu.PortRead8(port),
            2 => Cpu.PortRead16(port),
            _ => Cpu.PortRead32(port),
        };
        _lock.Release();
        return value;
    }

    public override void Write(PciAddress function, int offset, int size, uint value)
    {
        _lock.Acquire();
        ushort port = Select(function, offset, size);
        switch (size)
        {
            case 1:
                Cpu.PortWrite8(port, (byte)value);
                break;
            case 2:
                Cpu.PortWrite16(port, (ushort)value);
                break;
            default:
                Cpu.PortWrite32(port, value);
                break;
        }

        _lock.Release();
    }

    private static ushort Select(PciAddress function, int offset, int size)
    {
        Check.That((uint)offset < SpaceSize && (offset & (size - 1)) == 0 && size is 1 or 2 or 4);
        Cpu.PortWrite32(AddressPort, Enable | ((uint)function.Value << 8) | ((uint)offset & 0xfc));
        return (ushort)(DataPort + (offset & 3));
    }
}
