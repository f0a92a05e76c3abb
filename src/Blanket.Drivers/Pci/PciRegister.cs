namespace Blanket.Drivers.Pci;

/// <summary>Offsets in configuration space (PCI Local Bus 3.0, 6.1; bridges: PCI-to-PCI Bridge 1.2, 3.2).</summary>
public static class PciRegister
{
    public const int VendorId = 0x00;
    public const int DeviceId = 0x02;
    public const int Command = 0x04;
    public const int Status = 0x06;
    public const int RevisionId = 0x08;
    public const int ClassCode = 0x0a;
    public const int HeaderType = 0x0e;
    public const int FirstBar = 0x10;
    public const int SubsystemVendorId = 0x2c;
    public const int SubsystemId = 0x2e;
    public const int CapabilitiesPointer = 0x34;
    public const int InterruptLine = 0x3c;
    public const int InterruptPin = 0x3d;

    public const int PrimaryBus = 0x18;
    public const int SecondaryBus = 0x19;
    public const int SubordinateBus = 0x1a;
    public const int IoBase = 0x1c;
    public const int IoLimit = 0x1d;
    public const int MemoryBase = 0x20;
    public const int MemoryLimit = 0x22;
    public const int PrefetchableBase = 0x24;
    public const int PrefetchableLimit = 0x26;
}

/// <summary>Bits of the command register (PCI Local Bus 3.0, 6.2.2).</summary>
public static class PciCommand
{
    public const ushort IoSpace = 1 << 0;
    public const ushort MemorySpace = 1 << 1;
    public const ushort BusMaster = 1 << 2;
    public const ushort InterruptDisable = 1 << 10;
}

/// <summary>Capability ids (PCI Code and ID Assignment 1.x, 2).</summary>
public static class PciCapabilityId
{
    public const byte Msi = 0x05;
    public const byte Vendor = 0x09;
    public const byte Msix = 0x11;
}
