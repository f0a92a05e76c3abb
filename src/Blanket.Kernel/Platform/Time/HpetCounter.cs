using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Time;

/// <summary>The main counter of the HPET (IA-PC HPET Specification 1.0a, 2.3).</summary>
internal sealed class HpetCounter : ReferenceCounter
{
    private const ulong WindowLength = 0x400;
    private const ulong PeriodRegister = 4, Configuration = 0x10, Counter = 0xf0;
    private const uint Enable = 1;
    private const ulong FemtosecondsPerSecond = 1_000_000_000_000_000;

    // The specification allows at most 100 ns; less than 1 ns would not be believable.
    private const uint MaximumPeriod = 100_000_000, MinimumPeriod = 1_000_000;

    private readonly DeviceRegisters _registers;
    private readonly ulong _frequency;

    private HpetCounter(DeviceRegisters registers, uint period)
    {
        _registers = registers;
        _frequency = FemtosecondsPerSecond / period;
    }

    /// <inheritdoc/>
    internal override ulong Frequency => _frequency;

    /// <inheritdoc/>
    internal override uint Mask => uint.MaxValue;

    /// <summary>Starts the counter that ACPI names; null when there is none.</summary>
    internal static HpetCounter? Create(AcpiAddress address) => Create(AcpiRegister.Open(address, (ushort)WindowLength));

    /// <summary>Starts the counter of an HPET whose registers are mapped; null when they make no sense.</summary>
    internal static HpetCounter? Create(DeviceRegisters registers)
    {
        if (registers.Length < WindowLength)
        {
            return null;
        }

        uint period = registers.Read32(PeriodRegister);
        if (period is < MinimumPeriod or > MaximumPeriod)
        {
            return null;
        }

        registers.Write32(Configuration, registers.Read32(Configuration) | Enable);
        return new HpetCounter(registers, period);
    }

    /// <inheritdoc/>
    internal override uint Read() => _registers.Read32(Counter);
}
