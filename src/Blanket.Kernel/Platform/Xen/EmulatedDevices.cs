using Blanket.Machine;

namespace Blanket.Kernel.Platform.Xen;

/// <summary>
/// The disks and network interfaces that an HVM domain's device model emulates beside the paravirtual ones. They are unplugged before PCI is looked
/// through, so that nothing is seen twice (xen/docs/misc/hvm-emulated-unplug), and again after a restore, whose device model is a new one. PVH domains have
/// none, and nothing at these ports.
/// </summary>
internal static class EmulatedDevices
{
    // Port 0x10: magic when read; build number of the drivers (32 bits), then what to unplug (16 bits) when written.
    // Port 0x12: version of the protocol when read; product number of the drivers (16 bits) when written.
    private const ushort MagicPort = 0x10;
    private const ushort VersionPort = 0x12;
    private const ushort Magic = 0x49d2;

    // The number for drivers that have none of their own.
    private const ushort ExperimentalProduct = 0xffff;
    private const uint Build = 1;

    private const ushort AllDisks = 1 << 0;
    private const ushort AllNics = 1 << 1;

    /// <summary>Takes them away where there is a device model that can.</summary>
    internal static void Unplug()
    {
        if (Cpu.PortRead16(MagicPort) != Magic)
        {
            return;
        }

        byte version = Cpu.PortRead8(VersionPort);
        if (version != 0 && !TryIntroduce())
        {
            Log.Line("xen: the device model does not let these drivers unplug what it emulates"u8).End();
            return;
        }

        Cpu.PortWrite16(MagicPort, AllDisks | AllNics);
        Log.Line("xen: emulated disks and network interfaces are unplugged, protocol "u8).Decimal(version).End();
    }

    /// <summary>Tells product and build; a device model that refuses them shows the magic no longer.</summary>
    private static bool TryIntroduce()
    {
        Cpu.PortWrite16(VersionPort, ExperimentalProduct);
        Cpu.PortWrite32(MagicPort, Build);
        return Cpu.PortRead16(MagicPort) == Magic;
    }
}
