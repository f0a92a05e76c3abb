using Blanket.Machine;

namespace Blanket.Drivers.Pci;

/// <summary>
/// Memory-mapped configuration space, 4 KiB a function (PCI Express Base 4.0, 7.2.2; where it is: ACPI's MCFG table).
/// </summary>
/// <param name="window">The mapped registers of the buses from <paramref name="firstBus"/> on, 1 MiB each.</param>
/// <param name="firstBus">First bus that the window covers.</param>
public sealed class PciMemoryConfiguration(DeviceRegisters window, int firstBus) : PciConfiguration
{
    private const int BusShift = 20;
    private const int FunctionShift = 12;

    public override int LastBus => System.Math.Min(255, firstBus + (int)(window.Length >> BusShift) - 1);

    public override uint Read(PciAddress function, int offset, int size)
    {
        if (!TryLocate(function, offset, size, out ulong location))
        {
            return uint.MaxValue >> (32 - 8 * size);
        }

        return size switch
        {
            1 => window.Read8(location),
            2 => window.Read16(location),
            _ => window.Read32(location),
        };
    }

    public override void Write(PciAddress function, int offset, int size, uint value)
    {
        if (!TryLocate(function, offset, size, out ulong location))
        {
            return;
        }

        switch (size)
        {
            case 1:
                window.Write8(location, (byte)value);
                break;
            case 2:
                window.Write16(location, (ushort)value);
                break;
            default:
                window.Write32(location, value);
                break;
        }
    }

    private bool TryLocate(PciAddress function, int offset, int size, out ulong location)
    {
        Check.That((uint)offset < SpaceSize && (offset & (size - 1)) == 0 && size is 1 or 2 or 4);
        location = 0;
        if (function.Bus < firstBus || function.Bus > LastBus)
        {
            return false;
        }

        location = ((ulong)(function.Value - (firstBus << 8)) << FunctionShift) + (uint)offset;
        return true;
    }
}
