using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// Maps registers of devices, uncached, in the window at <see cref="AddressSpace.DeviceBase"/>. Mappings stay for good. For use
/// where devices are created, in an allocation scope: its lock keeps callers apart.
/// </summary>
public static class DeviceMapping
{
    private const ulong WindowSize = 1UL << 39;

    /// <summary>The most bytes of one mapping.</summary>
    public const ulong MaximumLength = 1UL << 30;

    private static ulong s_next;

    internal static void Initialize() => s_next = 0;

    /// <summary>Maps a range of registers.</summary>
    /// <param name="physical">First byte; of any alignment.</param>
    /// <param name="length">Bytes, at most <see cref="MaximumLength"/>.</param>
    /// <returns>A window on the range; of length 0 when it cannot be mapped: too long, not a physical address, memory of the
    /// machine instead of a device's, or out of memory for page tables.</returns>
    public static DeviceRegisters Map(ulong physical, ulong length) => Map(physical, length, PageFlags.Device);

    /// <summary>Maps memory that L0 shares with L1 outside of L1's own memory: the same, but cached.</summary>
    public static DeviceRegisters MapShared(ulong physical, ulong length) => Map(physical, length, PageFlags.Data);

    private static DeviceRegisters Map(ulong physical, ulong length, ulong flags)
    {
        if (length == 0 || length > MaximumLength || physical >= PhysicalRange.AddressLimit - length)
        {
            return default;
        }

        PhysicalRange pages = new PhysicalRange(physical, physical + length).TouchedPages();
        if (TouchesMemory(pages))
        {
            return default;
        }

        ulong offset = s_next;
        bool mapped = pages.Length <= WindowSize - offset
            && PageTables.TryMap(HypervisorRoot.Frame, AddressSpace.DeviceBase + offset, pages, 1, flags);
        if (!mapped)
        {
            return default;
        }

        s_next += pages.Length;
        return new DeviceRegisters((nuint)(AddressSpace.DeviceBase + offset + (physical - pages.Start)), length);
    }

    // A device that claims to be where memory is would be a second, uncached way to that memory.
    private static bool TouchesMemory(PhysicalRange pages)
    {
        ulong end = pages.End >> Cpu.PageShift;
        for (ulong frame = pages.Start >> Cpu.PageShift; frame < end && FrameTable.IsValid(frame); frame++)
        {
            if (FrameTable.Of(frame).State != FrameState.Reserved)
            {
                return true;
            }
        }

        return false;
    }
}
