using Blanket.Kernel.Platform.Acpi;

namespace Blanket.Kernel.Platform;

/// <summary>A global system interrupt and how its line works.</summary>
/// <param name="number">Global system interrupt (ACPI 6.5, 5.2.13).</param>
/// <param name="isLevel">Level-triggered, not edge-triggered.</param>
/// <param name="isActiveLow">Asserted when the line is low.</param>
internal readonly struct WiredInterrupt(uint number, bool isLevel, bool isActiveLow)
{
    private const int IsaInterrupts = 16;
    // MPS INTI flags (ACPI 6.5, table 5.26).
    private const int PolarityMask = 3, PolarityHigh = 1, PolarityLow = 3;
    private const int TriggerMask = 3 << 2, TriggerEdge = 1 << 2, TriggerLevel = 3 << 2;

    /// <summary>Global system interrupt.</summary>
    internal readonly uint Number = number;

    /// <summary>Level-triggered, not edge-triggered.</summary>
    internal readonly bool IsLevel = isLevel;

    /// <summary>Asserted when the line is low.</summary>
    internal readonly bool IsActiveLow = isActiveLow;

    /// <summary>An ISA interrupt: edge, active high, connected identically, unless an override says otherwise.</summary>
    internal static WiredInterrupt OfIsa(in Madt madt, byte source) => Of(in madt, source, false);

    /// <summary>
    /// What a PCI interrupt line register names: on PCs the ISA interrupt that the pin is connected to by the chipset's
    /// router, as firmware set it up; level, active low, unless an override says otherwise.
    /// </summary>
    /// <returns>False when the register names nothing.</returns>
    internal static bool TryOfPciLine(in Madt madt, byte line, out WiredInterrupt interrupt)
    {
        interrupt = Of(in madt, line, true);
        return line != 0 && line != 0xff;
    }

    private static WiredInterrupt Of(in Madt madt, byte source, bool isPci)
    {
        for (int i = 0; i < madt.OverrideCount; i++)
        {
            InterruptOverride entry = madt.Override(i);
            if (entry.Source == source && source < IsaInterrupts)
            {
                bool level = (entry.Flags & TriggerMask) switch
                {
                    TriggerEdge => false,
                    TriggerLevel => true,
                    _ => isPci,
                };
                bool low = (entry.Flags & PolarityMask) switch
                {
                    PolarityHigh => false,
                    PolarityLow => true,
                    _ => isPci,
                };
                return new WiredInterrupt(entry.Interrupt, level, low);
            }
        }

        return new WiredInterrupt(source, isPci, isPci);
    }
}
