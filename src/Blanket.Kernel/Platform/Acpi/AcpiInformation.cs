using System;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>
/// What the hypervisor wants to know of ACPI, read once at boot before memory is given away, and copied: the tables are not
/// needed afterwards.
/// </summary>
public static class AcpiInformation
{
    private const int HpetAddressOffset = 40;
    private const int MaximumSecondaryTables = 32;

    private static Madt s_madt;
    private static Fadt s_fadt;
    private static Mcfg s_mcfg;

    /// <summary>Whether there are any tables.</summary>
    public static bool Exists { get; private set; }

    /// <summary>CPUs and interrupt controllers.</summary>
    public static ref readonly Madt Madt => ref s_madt;

    /// <summary>Power management registers.</summary>
    public static ref readonly Fadt Fadt => ref s_fadt;

    /// <summary>PCI configuration space.</summary>
    public static ref readonly Mcfg Mcfg => ref s_mcfg;

    /// <summary>Registers of the HPET; none when there is no HPET.</summary>
    public static AcpiAddress Hpet { get; private set; }

    /// <summary>Sleep types for power-off; only with <see cref="HasPowerOff"/>.</summary>
    public static SleepPackage PowerOff { get; private set; }

    /// <summary>Whether the tables say how to power off.</summary>
    public static bool HasPowerOff { get; private set; }

    /// <summary>
    /// Reads all tables, as long as the boot page tables are in use: later they are out of reach, and a call does nothing.
    /// <see cref="Memory.Initialize"/> makes the call that counts.
    /// </summary>
    /// <param name="rootPointer">Physical address of the root pointer; 0 to search for it.</param>
    public static void Read(ulong rootPointer)
    {
        if (HypervisorRoot.Frame != 0)
        {
            return;
        }

        Exists = AcpiRoot.TryOpen(rootPointer, out AcpiRoot root);
        if (!Exists)
        {
            Log.Line("ACPI: no tables"u8).End();
        }

        s_madt.Parse(Find(root, "APIC"u8));
        s_fadt.Parse(Find(root, "FACP"u8));
        s_mcfg.Parse(Find(root, "MCFG"u8));
        ReadOnlySpan<byte> hpet = Find(root, "HPET"u8);
        Hpet = AcpiAddress.Read(hpet, HpetAddressOffset);
        HasPowerOff = TryFindPowerOff(root, out SleepPackage package);
        PowerOff = package;
    }

    private static ReadOnlySpan<byte> Find(AcpiRoot root, ReadOnlySpan<byte> signature)
    {
        root.TryFind(signature, 0, out ReadOnlySpan<byte> table);
        return table;
    }

    private static bool TryFindPowerOff(AcpiRoot root, out SleepPackage package)
    {
        if (AcpiTable.TryRead(s_fadt.Dsdt, out ReadOnlySpan<byte> dsdt) && SleepPackage.TryFind(dsdt, out package))
        {
            return true;
        }

        for (int i = 0; i < MaximumSecondaryTables && root.TryFind("SSDT"u8, i, out ReadOnlySpan<byte> ssdt); i++)
        {
            if (SleepPackage.TryFind(ssdt, out package))
            {
                return true;
            }
        }

        package = default;
        return false;
    }
}
