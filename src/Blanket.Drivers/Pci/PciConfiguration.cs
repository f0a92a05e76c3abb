namespace Blanket.Drivers.Pci;

/// <summary>Access to the configuration space of all functions of segment 0.</summary>
public abstract class PciConfiguration
{
    /// <summary>Bytes of a function's configuration space that every access method reaches.</summary>
    public const int SpaceSize = 256;

    /// <summary>Value of <see cref="PciRegister.VendorId"/> where no function is.</summary>
    public const ushort NoVendor = 0xffff;

    /// <summary>Where BARs that the firmware left unassigned may be placed; empty windows when the kernel knows none.</summary>
    public readonly PciWindows Windows = new();

    /// <summary>Last bus number that can be reached.</summary>
    public virtual int LastBus => 255;

    /// <summary>Reads a naturally aligned register; all ones where no function is.</summary>
    /// <param name="function">Whose.</param>
    /// <param name="offset">0 to 255.</param>
    /// <param name="size">1, 2 or 4 bytes.</param>
    public abstract uint Read(PciAddress function, int offset, int size);

    /// <summary>Writes a naturally aligned register.</summary>
    public abstract void Write(PciAddress function, int offset, int size, uint value);

    public byte Read8(PciAddress function, int offset) => (byte)Read(function, offset, 1);

    public ushort Read16(PciAddress function, int offset) => (ushort)Read(function, offset, 2);

    public uint Read32(PciAddress function, int offset) => Read(function, offset, 4);

    public void Write8(PciAddress function, int offset, byte value) => Write(function, offset, 1, value);

    public void Write16(PciAddress function, int offset, ushort value) => Write(function, offset, 2, value);

    public void Write32(PciAddress function, int offset, uint value) => Write(function, offset, 4, value);

    /// <summary>Whether a function answers at this address.</summary>
    public bool Exists(PciAddress function) => Read16(function, PciRegister.VendorId) != NoVendor;
}
