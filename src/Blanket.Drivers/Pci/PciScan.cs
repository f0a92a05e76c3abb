using Blanket.Machine;

namespace Blanket.Drivers.Pci;

/// <summary>
/// The functions of all buses that bus 0 leads to. Bridges that the firmware configured are followed; those on bus 0
/// that it left without bus numbers get the next free ones.
/// </summary>
public sealed class PciScan
{
    /// <summary>The most functions that are remembered.</summary>
    public const int MaximumFunctions = 512;

    private const byte HeaderTypeMask = 0x7f;
    private const byte HeaderIsBridge = 1;
    private const byte HeaderIsMultifunction = 0x80;
    private const int NoBridge = -1;

    private readonly PciConfiguration _configuration;
    private readonly PciAddress[] _functions = new PciAddress[MaximumFunctions];
    private readonly byte[] _queue = new byte[256];
    private readonly bool[] _seen = new bool[256];
    private readonly int[] _bridges = new int[256];
    private int _count;
    private int _queued;
    private int _highestBus;

    /// <summary>Scans.</summary>
    public PciScan(PciConfiguration configuration)
    {
        _configuration = configuration;
        Enqueue(0, NoBridge);
        int scanned = Drain(0);
        NumberRootBridges();
        Drain(scanned);
    }

    /// <summary>Functions found.</summary>
    public int Count => _count;

    /// <summary>A function found, bridges included.</summary>
    public PciAddress this[int index]
    {
        get
        {
            Check.That((uint)index < (uint)_count);
            return _functions[index];
        }
    }

    /// <summary>The bridge that leads to a bus; false for bus 0.</summary>
    public bool TryGetBridge(int bus, out PciAddress bridge)
    {
        int index = _seen[bus] ? _bridges[bus] : NoBridge;
        bridge = index == NoBridge ? default : _functions[index];
        return index != NoBridge;
    }

    /// <summary>Whether a function is a PCI-to-PCI bridge.</summary>
    public static bool IsBridge(PciConfiguration configuration, PciAddress function) =>
        (configuration.Read8(function, PciRegister.HeaderType) & HeaderTypeMask) == HeaderIsBridge;

    private int Drain(int scanned)
    {
        for (; scanned < _queued; scanned++)
        {
            ScanBus(_queue[scanned]);
        }

        return scanned;
    }

    // A bus is scanned once, whatever bridges claim: loops end here.
    private bool Enqueue(int bus, int bridge)
    {
        if (_seen[bus] || bus > _configuration.LastBus)
        {
            return false;
        }

        _seen[bus] = true;
        _bridges[bus] = bridge;
        _queue[_queued++] = (byte)bus;
        _highestBus = System.Math.Max(_highestBus, bus);
        return true;
    }

    private void ScanBus(int bus)
    {
        for (int device = 0; device < 32; device++)
        {
            PciAddress first = new(bus, device, 0);
            if (!_configuration.Exists(first))
            {
                continue;
            }

            Add(first);
            if ((_configuration.Read8(first, PciRegister.HeaderType) & HeaderIsMultifunction) == 0)
            {
                continue;
            }

            for (int function = 1; function < 8; function++)
            {
                PciAddress address = new(bus, device, function);
                if (_configuration.Exists(address))
                {
                    Add(address);
                }
            }
        }
    }

    private void Add(PciAddress function)
    {
        if (_count == MaximumFunctions)
        {
            return;
        }

        _functions[_count++] = function;
        if (IsBridge(_configuration, function))
        {
            int secondary = _configuration.Read8(function, PciRegister.SecondaryBus);
            _highestBus = System.Math.Max(_highestBus, (int)_configuration.Read8(function, PciRegister.SubordinateBus));
            if (secondary != 0)
            {
                Enqueue(secondary, _count - 1);
            }
        }
    }

    private void NumberRootBridges()
    {
        int found = _count;
        for (int i = 0; i < found; i++)
        {
            PciAddress bridge = _functions[i];
            if (bridge.Bus != 0 || !IsBridge(_configuration, bridge)
                || _configuration.Read8(bridge, PciRegister.SecondaryBus) != 0
                || _highestBus >= _configuration.LastBus)
            {
                continue;
            }

            int bus = _highestBus + 1;
            _configuration.Write8(bridge, PciRegister.PrimaryBus, 0);
            _configuration.Write8(bridge, PciRegister.SecondaryBus, (byte)bus);
            _configuration.Write8(bridge, PciRegister.SubordinateBus, (byte)bus);
            Enqueue(bus, i);
        }
    }
}
