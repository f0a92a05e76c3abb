using System.Globalization;

namespace Blanket.Lab.Qemu;

/// <summary>Hands out ascending PCI addresses on the root bus, so that a device's place in the order does not depend on QEMU.</summary>
internal sealed class PciSlots
{
    /// <summary>Slot 0 is the host bridge, 1 the south bridge of the pc machine, 31 that of q35.</summary>
    private const int FirstSlot = 2;

    private const int Slots = 29;
    private const int FunctionsPerSlot = 8;

    private readonly bool _shared;
    private int _next;

    /// <summary>Addresses for a number of devices: one slot each, or eight to a slot when there are too many for that.</summary>
    internal PciSlots(int devices)
    {
        if (devices > Slots * FunctionsPerSlot)
        {
            throw new Configuration.InputException($"the machine has {devices} devices, expected at most {Slots * FunctionsPerSlot}");
        }

        _shared = devices > Slots;
    }

    /// <summary>Options of the next device.</summary>
    internal string Next()
    {
        int index = _next++;
        return _shared
            ? string.Create(CultureInfo.InvariantCulture, $"addr={FirstSlot + (index / FunctionsPerSlot):x}.{index % FunctionsPerSlot:x},multifunction=on")
            : string.Create(CultureInfo.InvariantCulture, $"addr={FirstSlot + index:x}");
    }
}
