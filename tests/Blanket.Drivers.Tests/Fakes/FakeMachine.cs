using System;
using System.Collections.Generic;
using Blanket.Drivers.Pci;
using Blanket.Drivers.Virtio;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A machine with fake memory, PCI, ports and interrupts.</summary>
public sealed class FakeMachine
{
    private int _nextDevice = 1;
    private ulong _nextMemory = 0xfe000000;
    private ushort _nextPort = 0xc000;

    /// <summary>A machine with so many frames of memory.</summary>
    public FakeMachine(int frames = 2048)
    {
        FrameTable.Simulate(frames);
        Log.Initialize(1 << 16);
        LogText = new TextSink();
        Log.AddSink(LogText);
        Bus = new FakePciBus();
        Mapper = new FakeMapper(Bus);
        SimulatedPorts.Current = Ports;
    }

    public FakePciBus Bus { get; }

    public FakeMapper Mapper { get; }

    public FakeInterrupts Interrupts { get; } = new();

    public FakePorts Ports { get; } = new();

    public DeviceCollection Found { get; } = new();

    public TextSink LogText { get; }

    public PciAddress NextAddress() => new(0, _nextDevice++, 0);

    public ulong NextMemory(uint size, bool isUnassigned)
    {
        if (isUnassigned)
        {
            return 0;
        }

        _nextMemory = (_nextMemory + size - 1) & ~(ulong)(size - 1);
        ulong address = _nextMemory;
        _nextMemory += size;
        return address;
    }

    public ushort NextPort(ushort size)
    {
        ushort port = _nextPort;
        _nextPort += size;
        return port;
    }

    public void Probe() => VirtioDevices.Probe(Bus, Mapper, Interrupts, Found);

    /// <summary>A fresh frame's physical address.</summary>
    public static ulong NewPage()
    {
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong frame));
        return frame << Cpu.PageShift;
    }
}

/// <summary>Log lines as text.</summary>
public sealed class TextSink : LogSink
{
    private readonly System.Text.StringBuilder _text = new();

    public string Text => _text.ToString();

    public int Lines => Text.Split('\n').Length - 1;

    public override void Write(ReadOnlySpan<byte> bytes) => _text.Append(System.Text.Encoding.ASCII.GetString(bytes));
}

/// <summary>Fake devices behind ports.</summary>
public sealed class FakePorts : SimulatedPorts
{
    private readonly List<(ushort First, ushort Count, SimulatedRegisters Registers)> _ranges = [];

    public void Add(ushort first, ushort count, SimulatedRegisters registers) => _ranges.Add((first, count, registers));

    public override byte Read8(ushort port) => (byte)Read(port, 1);

    public override ushort Read16(ushort port) => (ushort)Read(port, 2);

    public override uint Read32(ushort port) => (uint)Read(port, 4);

    public override void Write8(ushort port, byte value) => Write(port, 1, value);

    public override void Write16(ushort port, ushort value) => Write(port, 2, value);

    public override void Write32(ushort port, uint value) => Write(port, 4, value);

    private ulong Read(ushort port, int size)
    {
        foreach ((ushort first, ushort count, SimulatedRegisters registers) in _ranges)
        {
            if (port >= first && port < first + count)
            {
                return registers.Read((ulong)(port - first), size);
            }
        }

        return ulong.MaxValue;
    }

    private void Write(ushort port, int size, ulong value)
    {
        foreach ((ushort first, ushort count, SimulatedRegisters registers) in _ranges)
        {
            if (port >= first && port < first + count)
            {
                registers.Write((ulong)(port - first), size, value);
            }
        }
    }
}
