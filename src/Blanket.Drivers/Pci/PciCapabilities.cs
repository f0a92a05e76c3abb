namespace Blanket.Drivers.Pci;

/// <summary>Walk along a function's capability list; bounded, so a list that loops ends (PCI Local Bus 3.0, 6.7).</summary>
public struct PciCapabilities
{
    private const ushort HasList = 1 << 4;
    private const int FirstOffset = 0x40;

    // Capabilities are at least 4 bytes, from 0x40 on: more steps than that is a loop.
    private const int MaximumSteps = (PciConfiguration.SpaceSize - FirstOffset) / 4;

    private readonly PciConfiguration _configuration;
    private readonly PciAddress _function;
    private int _next;
    private int _steps;

    /// <summary>Starts before the first capability.</summary>
    public PciCapabilities(PciConfiguration configuration, PciAddress function)
    {
        _configuration = configuration;
        _function = function;
        _steps = 0;
        _next = (configuration.Read16(function, PciRegister.Status) & HasList) != 0
            ? configuration.Read8(function, PciRegister.CapabilitiesPointer) & 0xfc
            : 0;
    }

    /// <summary>The next capability.</summary>
    /// <param name="id">Its id.</param>
    /// <param name="offset">Its offset in configuration space, a multiple of 4.</param>
    /// <returns>False at the end of the list, and where it leaves configuration space or loops.</returns>
    public bool TryNext(out byte id, out int offset)
    {
        id = 0;
        offset = _next;
        if (offset < FirstOffset || _steps == MaximumSteps)
        {
            return false;
        }

        _steps++;
        ushort header = _configuration.Read16(_function, offset);
        id = (byte)header;
        _next = (header >> 8) & 0xfc;
        return id != 0xff;
    }

    /// <summary>The first capability of an id; false when the function has none.</summary>
    public static bool TryFind(PciConfiguration configuration, PciAddress function, byte id, out int offset)
    {
        PciCapabilities walk = new(configuration, function);
        while (walk.TryNext(out byte found, out offset))
        {
            if (found == id)
            {
                return true;
            }
        }

        return false;
    }
}
