using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>The two 8259 interrupt controllers of a PC: kept silent.</summary>
internal static class LegacyInterruptControllers
{
    private const ushort FirstCommand = 0x20, FirstData = 0x21, SecondCommand = 0xa0, SecondData = 0xa1;
    private const byte BeginInitialization = 0x11, CascadeInput = 4, CascadeIdentity = 2, Mode8086 = 1, AllMasked = 0xff;

    /// <summary>Moves their vectors away from those of exceptions, then masks every input (8259A datasheet, initialization).</summary>
    internal static void Silence()
    {
        Cpu.PortWrite8(FirstCommand, BeginInitialization);
        Cpu.PortWrite8(SecondCommand, BeginInitialization);
        Cpu.PortWrite8(FirstData, SystemVectors.FirstLegacy);
        Cpu.PortWrite8(SecondData, SystemVectors.FirstLegacy + 8);
        Cpu.PortWrite8(FirstData, CascadeInput);
        Cpu.PortWrite8(SecondData, CascadeIdentity);
        Cpu.PortWrite8(FirstData, Mode8086);
        Cpu.PortWrite8(SecondData, Mode8086);
        Cpu.PortWrite8(FirstData, AllMasked);
        Cpu.PortWrite8(SecondData, AllMasked);
    }
}
