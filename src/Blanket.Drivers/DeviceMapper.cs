using Blanket.Machine;

namespace Blanket.Drivers;

/// <summary>Maps device registers into the hypervisor's address space.</summary>
public abstract class DeviceMapper
{
    /// <summary>Maps memory-mapped registers, uncached, for good.</summary>
    /// <param name="physical">Physical address; any alignment.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <returns>A window of <paramref name="length"/> bytes; one of length 0 when there is no room for it.</returns>
    public abstract DeviceRegisters Map(ulong physical, ulong length);
}
