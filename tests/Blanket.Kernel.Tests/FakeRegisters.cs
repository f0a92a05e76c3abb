using System;
using System.Collections.Generic;
using Blanket.Machine;

namespace Blanket.Kernel.Tests;

/// <summary>Registers of a fake device that remembers what was written.</summary>
internal class FakeRegisters : SimulatedRegisters
{
    internal Dictionary<ulong, ulong> Values { get; } = [];

    internal List<(ulong Offset, ulong Value)> Writes { get; } = [];

    internal Func<ulong, ulong?> OnRead { get; init; } = _ => null;

    public override ulong Read(ulong offset, int size) => OnRead(offset) ?? Values.GetValueOrDefault(offset);

    public override void Write(ulong offset, int size, ulong value)
    {
        Writes.Add((offset, value));
        Values[offset] = value;
    }
}

/// <summary>An I/O APIC with 24 inputs.</summary>
internal sealed class FakeIoApic : SimulatedRegisters
{
    private uint _index;

    internal uint[] Registers { get; } = new uint[0x10 + 48];

    internal FakeIoApic() => Registers[1] = 23 << 16 | 0x20;

    internal ulong Entry(int input) => Registers[0x10 + input * 2] | ((ulong)Registers[0x11 + input * 2] << 32);

    public override ulong Read(ulong offset, int size) => offset == 0x10 ? Registers[_index] : _index;

    public override void Write(ulong offset, int size, ulong value)
    {
        if (offset == 0)
        {
            _index = (uint)value;
        }
        else
        {
            Registers[_index] = (uint)value;
        }
    }
}
