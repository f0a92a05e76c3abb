using System.Diagnostics.CodeAnalysis;
using Blanket.Abi.Xen;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Kernel.Platform.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Ends the machine: power-off, reset, or standing still. Works from any context: takes no lock, allocates nothing.</summary>
public static class PowerControl
{
    private const ushort ControlLength = 2;
    private const ushort AcpiIsOn = 1;
    private const int SleepTypeShift = 10;
    private const ushort SleepTypeMask = 7 << SleepTypeShift;
    private const ushort SleepEnable = 1 << 13;
    private const int ReducedSleepTypeShift = 2;
    private const byte ReducedSleepEnable = 1 << 5;

    // Where QEMU's and VirtualBox's chipsets have PM1a control: for machines whose firmware does not say.
    private const ushort Ich9Control = 0x604;
    private const ushort Piix4Control = 0xb004;

    private const ushort ResetControlPort = 0xcf9;
    private const ushort KeyboardPort = 0x64;
    private const int MaximumWait = 1_000_000;

    private static DeviceRegisters s_controlA;
    private static DeviceRegisters s_controlB;
    private static DeviceRegisters s_reducedControl;
    private static DeviceRegisters s_reset;

    /// <summary>Opens the registers that ACPI names; once at boot. Without it the traditional ways are tried.</summary>
    internal static void Initialize()
    {
        ref readonly Fadt fadt = ref AcpiInformation.Fadt;
        s_controlA = AcpiRegister.Open(fadt.Pm1aControl, ControlLength);
        s_controlB = AcpiRegister.Open(fadt.Pm1bControl, ControlLength);
        s_reducedControl = AcpiRegister.Open(fadt.SleepControl, 1);
        s_reset = fadt.HasReset ? AcpiRegister.Open(fadt.Reset, 1) : default;
        EnableAcpi(in fadt);
    }

    // In legacy mode the control register does not listen (ACPI 6.5, 4.8.2.5).
    private static void EnableAcpi(in Fadt fadt)
    {
        if (s_controlA.Length == 0 || fadt.CommandPort == 0 || fadt.CommandPort > ushort.MaxValue || fadt.AcpiEnable == 0
            || (s_controlA.Read16(0) & AcpiIsOn) != 0)
        {
            return;
        }

        Cpu.PortWrite8((ushort)fadt.CommandPort, fadt.AcpiEnable);
        for (int i = 0; i < MaximumWait && (s_controlA.Read16(0) & AcpiIsOn) == 0; i++)
        {
            Cpu.Pause();
        }
    }

    /// <summary>Powers the machine off; where that is not possible, this CPU stands still and the others are stopped.</summary>
    [DoesNotReturn]
    public static void PowerOff()
    {
        TryPowerOff();
        Log.Line("power-off does not work here"u8).End();
        Halt();
    }

    /// <summary>Does what PowerOff does first; returns when L0 did not react.</summary>
    internal static void TryPowerOff()
    {
        XenPlatform.Shutdown(ShutdownReason.PowerOff);
        if (AcpiInformation.HasPowerOff && s_reducedControl.Length != 0)
        {
            s_reducedControl.Write8(
                0, (byte)((AcpiInformation.PowerOff.TypeA << ReducedSleepTypeShift) | ReducedSleepEnable));
        }
        else if (AcpiInformation.HasPowerOff && s_controlA.Length != 0)
        {
            Sleep(s_controlA, AcpiInformation.PowerOff.TypeA);
            Sleep(s_controlB, AcpiInformation.PowerOff.TypeB);
        }
        else
        {
            Cpu.PortWrite16(Ich9Control, SleepEnable);
            Cpu.PortWrite16(Piix4Control, SleepEnable);
        }

        Wait();
    }

    private static void Sleep(DeviceRegisters control, byte type)
    {
        if (control.Length == 0)
        {
            return;
        }

        // First the type alone, then with the enable bit (ACPI 6.5, 16.1.7).
        ushort value = (ushort)((control.Read16(0) & ~(SleepTypeMask | SleepEnable)) | (type << SleepTypeShift));
        control.Write16(0, value);
        control.Write16(0, (ushort)(value | SleepEnable));
    }

    /// <summary>Resets the machine by the first way that works.</summary>
    [DoesNotReturn]
    public static void Reset()
    {
        TryReset();
        TripleFault.Cause();
        Halt();
    }

    /// <summary>Does what Reset does, short of a triple fault; returns when L0 did not react.</summary>
    internal static void TryReset()
    {
        XenPlatform.Shutdown(ShutdownReason.Reboot);
        if (s_reset.Length != 0)
        {
            s_reset.Write8(0, AcpiInformation.Fadt.ResetValue);
            Wait();
        }

        // The chipset's reset control register: system reset, then the transition that starts it (Intel ICH9 datasheet, 13.7.5).
        Cpu.PortWrite8(ResetControlPort, 0x02);
        Cpu.PortWrite8(ResetControlPort, 0x06);
        Wait();

        // The keyboard controller's output bit 0, once its input buffer is free.
        for (int i = 0; i < MaximumWait && (Cpu.PortRead8(KeyboardPort) & 2) != 0; i++)
        {
            Cpu.Pause();
        }

        Cpu.PortWrite8(KeyboardPort, 0xfe);
        Wait();
    }

    /// <summary>Stops every CPU for good, as it is; for what must not go on and may want to be looked at.</summary>
    [DoesNotReturn]
    public static void Halt()
    {
        LocalApic.StopOthers();
        XenPlatform.Shutdown(ShutdownReason.Crash);
        while (true)
        {
            Cpu.Stop();
        }
    }

    private static void Wait()
    {
        for (int i = 0; i < MaximumWait / 10; i++)
        {
            Cpu.Pause();
        }
    }
}
