using Blanket.Drivers.Pci;
using Blanket.Kernel.Boot;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>The way to PCI configuration space, and the addresses that are free for devices which firmware left without.</summary>
public static class PciHost
{
    private const ushort AddressPort = 0xcf8;
    private const uint AddressEnable = 1u << 31;
    private const int BusShift = 20;

    // Page tables for 256 buses would take half a MiB; virtual machines have few buses.
    private const int MaximumMappedBuses = 16;

    // Below 4 GiB devices end where the interrupt controllers begin (Intel ICH9 datasheet, 9.4).
    private const ulong LowWindowEnd = 0xfec00000;
    private const ulong LowAlignment = 16UL << 20;
    private const ulong HighAlignment = 1UL << 30;
    private const ulong FourGigabytes = 1UL << 32;

    // Above the ports that chipsets use for themselves.
    private const ulong PortWindowStart = 0xc000, PortWindowEnd = 0x10000;

    /// <summary>Opens segment 0: by ports, which every PC has and which cost no mapping, else by the memory that ACPI names. In an allocation scope.</summary>
    /// <returns>Null when there is no PCI.</returns>
    public static PciConfiguration? CreateConfiguration()
    {
        PciConfiguration? configuration = HasPorts() ? new PciPortConfiguration() : CreateMapped(in AcpiInformation.Mcfg);
        if (configuration != null)
        {
            SetWindows(configuration.Windows, in BootInformation.Current.Usable, in AcpiInformation.Mcfg, CpuFeatures.PhysicalAddressBits);
        }

        return configuration;
    }

    // The address port holds what is written to it (PCI Local Bus 3.0, 3.2.2.3.2).
    private static bool HasPorts()
    {
        Cpu.PortWrite32(AddressPort, AddressEnable);
        return Cpu.PortRead32(AddressPort) == AddressEnable;
    }

    private static PciMemoryConfiguration? CreateMapped(in Mcfg mcfg)
    {
        for (int i = 0; i < mcfg.Count; i++)
        {
            McfgEntry entry = mcfg[i];
            if (entry.Segment != 0 || entry.FirstBus != 0)
            {
                continue;
            }

            ulong buses = (ulong)System.Math.Min(entry.LastBus + 1, MaximumMappedBuses);
            DeviceRegisters registers = DeviceMapping.Map(entry.Address, buses << BusShift);
            if (registers.Length != 0)
            {
                return new PciMemoryConfiguration(registers, 0);
            }
        }

        return null;
    }

    /// <summary>Computes the windows: above memory, away from configuration space and interrupt controllers.</summary>
    internal static void SetWindows(PciWindows windows, in MemoryRanges memory, in Mcfg mcfg, int physicalAddressBits)
    {
        MemoryRanges free = default;
        ulong lowEnd = EndOfMemoryBelow(in memory, FourGigabytes);
        free.TryAdd(new PhysicalRange(AlignUp(lowEnd, LowAlignment), LowWindowEnd));
        ulong highStart = AlignUp(System.Math.Max(memory.End, FourGigabytes), HighAlignment);
        free.TryAdd(new PhysicalRange(highStart, 1UL << physicalAddressBits));
        for (int i = 0; i < mcfg.Count; i++)
        {
            ulong start = mcfg[i].Address + ((ulong)mcfg[i].FirstBus << BusShift);
            free.Remove(PhysicalRange.OfLength(start, (ulong)(mcfg[i].LastBus - mcfg[i].FirstBus + 1) << BusShift));
        }

        windows.Memory = Largest(in free, 0, FourGigabytes);
        windows.Memory64 = Largest(in free, FourGigabytes, PhysicalRange.AddressLimit);
        windows.Io = new PciWindow(PortWindowStart, PortWindowEnd);
    }

    private static ulong EndOfMemoryBelow(in MemoryRanges memory, ulong limit)
    {
        ulong end = 0;
        for (int i = 0; i < memory.Count && memory[i].Start < limit; i++)
        {
            end = System.Math.Min(memory[i].End, limit);
        }

        return end;
    }

    private static PciWindow Largest(in MemoryRanges ranges, ulong from, ulong to)
    {
        PhysicalRange largest = default;
        for (int i = 0; i < ranges.Count; i++)
        {
            if (ranges[i].Start >= from && ranges[i].End <= to && ranges[i].Length > largest.Length)
            {
                largest = ranges[i];
            }
        }

        return new PciWindow(largest.Start, largest.End);
    }

    private static ulong AlignUp(ulong value, ulong alignment) => (value + (alignment - 1)) & ~(alignment - 1);
}
