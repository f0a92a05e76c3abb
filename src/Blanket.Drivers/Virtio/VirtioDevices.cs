using Blanket.Drivers.Pci;
using Blanket.Drivers.Virtio.Block;
using Blanket.Drivers.Virtio.Console;
using Blanket.Drivers.Virtio.Entropy;
using Blanket.Drivers.Virtio.Net;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>Finds and starts the virtio devices of a machine.</summary>
public static class VirtioDevices
{
    private const ushort Vendor = 0x1af4;

    // Device ids (virtio 1.2, 4.1.2): transitional devices tell the type in the subsystem id, modern ones in their own id.
    private const ushort FirstTransitional = 0x1000;
    private const ushort LastTransitional = 0x103f;
    private const ushort FirstModern = 0x1040;
    private const ushort LastModern = 0x107f;

    /// <summary>
    /// Scans PCI, starts every virtio device that has a driver and adds it to the collection, with a log line each.
    /// Called once at boot, on one CPU with interrupts disabled, where objects may be allocated.
    /// </summary>
    /// <param name="configuration">Access to configuration space; its windows serve BARs that firmware left unassigned.</param>
    /// <param name="mapper">Maps registers.</param>
    /// <param name="interrupts">Gives vectors.</param>
    /// <param name="found">Gets the devices, in the order of their PCI addresses on each bus.</param>
    public static void Probe(PciConfiguration configuration, DeviceMapper mapper, InterruptAllocator interrupts, DeviceCollection found) =>
        CreateAll(configuration, mapper, interrupts, found);

    private static void CreateAll(PciConfiguration configuration, DeviceMapper mapper, InterruptAllocator interrupts, DeviceCollection found)
    {
        PciScan scan = new(configuration);
        PciResources? resources = null;
        for (int i = 0; i < scan.Count; i++)
        {
            PciAddress address = scan[i];
            if (!IsVirtio(configuration, address))
            {
                continue;
            }

            PciFunction function = new(configuration, address);
            if (function.HasUnassignedBar)
            {
                resources ??= new PciResources(configuration, scan);
                function.AssignBars(resources);
            }

            CreateDevice(function, mapper, interrupts, found);
        }
    }

    private static bool IsVirtio(PciConfiguration configuration, PciAddress address) =>
        configuration.Read16(address, PciRegister.VendorId) == Vendor
        && configuration.Read16(address, PciRegister.DeviceId) is >= FirstTransitional and <= LastModern;

    private static int TypeOf(PciFunction function) =>
        function.DeviceId <= LastTransitional ? function.SubsystemId : function.DeviceId - FirstModern;

    private static void CreateDevice(PciFunction function, DeviceMapper mapper, InterruptAllocator interrupts, DeviceCollection found)
    {
        function.Enable();
        VirtioTransport? transport = ModernTransport.Create(function, mapper);
        if (transport == null && function.DeviceId <= LastTransitional)
        {
            transport = LegacyTransport.Create(function, mapper);
        }

        if (transport == null)
        {
            LogRefusal(function, "no usable registers"u8);
            return;
        }

        switch (TypeOf(function))
        {
            case VirtioType.Block:
                CreateBlock(transport, function, mapper, interrupts, found);
                break;
            case VirtioType.Net:
                CreateNet(transport, function, mapper, interrupts, found);
                break;
            case VirtioType.Console:
                CreateConsole(transport, function, mapper, interrupts, found);
                break;
            case VirtioType.Entropy:
                CreateEntropy(transport, function, mapper, interrupts, found);
                break;
            default:
                LogRefusal(function, "no driver for its type"u8);
                break;
        }
    }

    private static void CreateBlock(
        VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator interrupts, DeviceCollection found)
    {
        VirtioBlockDevice device = new(transport, function, mapper, interrupts);
        if (device.CreateStarted())
        {
            device.Introduce();
            if (!found.TryAdd(device.Disk))
            {
                LogRefusal(function, "one disk too many"u8);
            }
        }
    }

    private static void CreateNet(
        VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator interrupts, DeviceCollection found)
    {
        VirtioNetDevice device = new(transport, function, mapper, interrupts, true);
        if (!device.CreateStarted())
        {
            return;
        }

        if (!device.Introduce())
        {
            device = new VirtioNetDevice(transport, function, mapper, interrupts, false);
            if (!device.CreateStarted() || !device.Introduce())
            {
                return;
            }
        }

        if (!found.TryAdd(device.Interface))
        {
            LogRefusal(function, "one network interface too many"u8);
        }
    }

    private static void CreateConsole(
        VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator interrupts, DeviceCollection found)
    {
        VirtioConsoleDevice device = new(transport, function, mapper, interrupts, found);
        if (device.CreateStarted())
        {
            device.Introduce();
        }
    }

    private static void CreateEntropy(
        VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator interrupts, DeviceCollection found)
    {
        VirtioEntropyDevice device = new(transport, function, mapper, interrupts);
        if (device.CreateStarted())
        {
            device.Introduce();
            if (!found.TryAdd(device.Source))
            {
                LogRefusal(function, "one entropy source too many"u8);
            }
        }
    }

    private static void LogRefusal(PciFunction function, System.ReadOnlySpan<byte> reason)
    {
        LogLine line = Log.Line("pci "u8);
        function.Address.AppendTo(ref line);
        line.Text(" virtio device "u8).Hex(function.DeviceId).Text(": "u8).Text(reason).End();
    }
}
