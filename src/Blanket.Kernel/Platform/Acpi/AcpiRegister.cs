using Blanket.Machine;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>Makes ACPI's registers accessible.</summary>
internal static class AcpiRegister
{
    /// <summary>A window on a register.</summary>
    /// <param name="address">Where it is.</param>
    /// <param name="length">Bytes of it.</param>
    /// <returns>A window of length 0 when there is no such register or it cannot be reached.</returns>
    internal static DeviceRegisters Open(AcpiAddress address, ushort length)
    {
        if (!address.Exists)
        {
            return default;
        }

        return address.Space switch
        {
            AcpiSpace.SystemIo when address.Address <= (ulong)(ushort.MaxValue - length) =>
                DeviceRegisters.OfPorts((ushort)address.Address, length),
            AcpiSpace.SystemMemory => DeviceMapping.Map(address.Address, length),
            _ => default,
        };
    }
}
