using System;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>Power management registers, from the FADT (ACPI 6.5, 5.2.9).</summary>
public struct Fadt
{
    private const uint TimerIs32Bits = 1 << 8;
    private const uint ResetSupported = 1 << 10;
    private const uint HardwareReduced = 1 << 20;

    /// <summary>Physical address of the DSDT; 0 for none.</summary>
    public ulong Dsdt;

    /// <summary>Interrupt of the ACPI hardware.</summary>
    public ushort SystemControlInterrupt;

    /// <summary>Port that <see cref="AcpiEnable"/> is written to, to leave legacy mode; 0 for none.</summary>
    public uint CommandPort;

    /// <summary>See <see cref="CommandPort"/>.</summary>
    public byte AcpiEnable;

    /// <summary>Register of the real-time clock that holds the century; 0 for none.</summary>
    public byte CenturyRegister;

    /// <summary>PM1a control register.</summary>
    public AcpiAddress Pm1aControl;

    /// <summary>PM1b control register.</summary>
    public AcpiAddress Pm1bControl;

    /// <summary>Power management timer, 3.579545 MHz.</summary>
    public AcpiAddress Timer;

    /// <summary>The timer counts 32 bits, not 24.</summary>
    public bool IsTimerWide;

    /// <summary>Reset register; only with <see cref="HasReset"/>.</summary>
    public AcpiAddress Reset;

    /// <summary>What resets the machine when written to it.</summary>
    public byte ResetValue;

    /// <summary>Whether the reset register works.</summary>
    public bool HasReset;

    /// <summary>Sleep control register of hardware-reduced ACPI; none otherwise.</summary>
    public AcpiAddress SleepControl;

    /// <summary>Reads the table; an empty one gives no register at all.</summary>
    public void Parse(ReadOnlySpan<byte> table)
    {
        this = default;
        uint flags = AcpiTable.Read32(table, 112);
        ulong dsdt = AcpiTable.Read64(table, 140);
        Dsdt = dsdt != 0 ? dsdt : AcpiTable.Read32(table, 40);
        SystemControlInterrupt = AcpiTable.Read16(table, 46);
        CenturyRegister = AcpiTable.Read8(table, 108);
        Reset = AcpiAddress.Read(table, 116);
        ResetValue = AcpiTable.Read8(table, 128);
        HasReset = (flags & ResetSupported) != 0 && Reset.Exists;
        if ((flags & HardwareReduced) != 0)
        {
            SleepControl = AcpiAddress.Read(table, 244);
            return;
        }

        CommandPort = AcpiTable.Read32(table, 48);
        AcpiEnable = AcpiTable.Read8(table, 52);
        Pm1aControl = AcpiAddress.ReadEither(table, 172, 64);
        Pm1bControl = AcpiAddress.ReadEither(table, 184, 68);
        Timer = AcpiAddress.ReadEither(table, 208, 76);
        IsTimerWide = (flags & TimerIs32Bits) != 0;
    }
}
