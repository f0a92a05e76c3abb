using System.Collections.Generic;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>Configuration space of a whole fake machine, and the way to its memory BARs.</summary>
public sealed class FakePciBus : PciConfiguration
{
    public Dictionary<ushort, FakePciFunction> Functions { get; } = [];

    public FakePciFunction Add(FakePciFunction function) => Functions[function.Address.Value] = function;

    public override uint Read(PciAddress function, int offset, int size) =>
        Functions.TryGetValue(function.Value, out FakePciFunction? found) ? found.Read(offset, size) : uint.MaxValue >> (32 - 8 * size);

    public override void Write(PciAddress function, int offset, int size, uint value)
    {
        if (Functions.TryGetValue(function.Value, out FakePciFunction? found))
        {
            found.Write(offset, size, value);
        }
    }
}

/// <summary>Maps what the fake machine's BARs decode.</summary>
public sealed class FakeMapper(FakePciBus bus) : DeviceMapper
{
    public override DeviceRegisters Map(ulong physical, ulong length)
    {
        foreach (FakePciFunction function in bus.Functions.Values)
        {
            for (int i = 0; i < 6; i++)
            {
                SimulatedRegisters? registers = function.BarRegisters[i];
                ulong start = function.BarAddress(i);
                if (registers != null && start != 0 && physical >= start && physical + length <= start + function.BarSize(i))
                {
                    return new DeviceRegisters(registers, function.BarSize(i)).Slice(physical - start, length);
                }
            }
        }

        return default;
    }
}
