namespace Blanket.Drivers.Pci;

/// <summary>MSI with one message, for functions that have no MSI-X (PCI Local Bus 3.0, 6.8.1).</summary>
public static class Msi
{
    private const int ControlOffset = 2;
    private const int AddressOffset = 4;
    private const ushort EnableBit = 1;
    private const ushort MultipleEnableMask = 7 << 4;
    private const ushort Is64 = 1 << 7;
    private const int Length64 = 14;

    /// <summary>Whether a function has the capability.</summary>
    public static bool Exists(PciFunction function) => TryLocate(function, out _);

    /// <summary>Makes a function raise its one interrupt by a message; false when it cannot reach the address.</summary>
    public static bool TryProgram(PciFunction function, MessageSignal signal)
    {
        if (!TryLocate(function, out int capability))
        {
            return false;
        }

        PciConfiguration configuration = function.Configuration;
        ushort control = configuration.Read16(function.Address, capability + ControlOffset);
        bool is64 = (control & Is64) != 0;
        if (!is64 && signal.Address > uint.MaxValue)
        {
            return false;
        }

        configuration.Write32(function.Address, capability + AddressOffset, (uint)signal.Address);
        int dataOffset = capability + AddressOffset + 4;
        if (is64)
        {
            configuration.Write32(function.Address, dataOffset, (uint)(signal.Address >> 32));
            dataOffset += 4;
        }

        configuration.Write16(function.Address, dataOffset, (ushort)signal.Data);
        configuration.Write16(
            function.Address, capability + ControlOffset, (ushort)((control & ~MultipleEnableMask) | EnableBit));
        return true;
    }

    private static bool TryLocate(PciFunction function, out int capability) =>
        PciCapabilities.TryFind(function.Configuration, function.Address, PciCapabilityId.Msi, out capability)
        && capability <= PciConfiguration.SpaceSize - Length64;
}
