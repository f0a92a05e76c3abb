using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Time;

/// <summary>The ACPI power management timer (ACPI 6.5, 4.8.3.3).</summary>
internal sealed class PowerManagementCounter : ReferenceCounter
{
    private const uint NarrowMask = 0xffffff;

    private readonly DeviceRegisters _register;
    private readonly uint _mask;

    private PowerManagementCounter(DeviceRegisters register, bool isWide)
    {
        _register = register;
        _mask = isWide ? uint.MaxValue : NarrowMask;
    }

    /// <inheritdoc/>
    internal override ulong Frequency => 3_579_545;

    /// <inheritdoc/>
    internal override uint Mask => _mask;

    /// <summary>The timer that ACPI names; null when there is none.</summary>
    internal static PowerManagementCounter? Create(in Fadt fadt)
    {
        DeviceRegisters register = AcpiRegister.Open(fadt.Timer, sizeof(uint));
        return register.Length != 0 ? new PowerManagementCounter(register, fadt.IsTimerWide) : null;
    }

    /// <inheritdoc/>
    internal override uint Read() => _register.Read32(0);
}
