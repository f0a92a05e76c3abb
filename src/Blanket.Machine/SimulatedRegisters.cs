#if !METAL
namespace Blanket.Machine;

/// <summary>A fake device's registers for host tests.</summary>
public abstract class SimulatedRegisters
{
    public abstract ulong Read(ulong offset, int size);

    public abstract void Write(ulong offset, int size, ulong value);
}

internal sealed class SimulatedRegisterSlice(SimulatedRegisters whole, ulong start) : SimulatedRegisters
{
    public override ulong Read(ulong offset, int size) => whole.Read(start + offset, size);

    public override void Write(ulong offset, int size, ulong value) => whole.Write(start + offset, size, value);
}
#endif
