using System.Collections.Generic;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>Interrupts that wait until the test delivers them, as L1 delivers them when no handler runs.</summary>
public sealed class FakeInterrupts : InterruptAllocator
{
    private const ulong MessageAddress = 0xfee00000;
    private readonly List<InterruptHandler> _handlers = [];
    private readonly List<InterruptHandler> _lines = [];
    private readonly Queue<InterruptHandler> _pending = new();

    public int Cpus { get; set; } = 1;

    public int VectorLimit { get; set; } = 1000;

    public bool HasLines { get; set; } = true;

    /// <summary>Messages and line interrupts since the start.</summary>
    public int Raised { get; private set; }

    public int Allocated => _handlers.Count;

    public int Attached => _lines.Count;

    public override int CpuCount => Cpus;

    public override bool TryAllocate(InterruptHandler handler, out MessageSignal signal)
    {
        signal = new MessageSignal(MessageAddress, (uint)_handlers.Count);
        if (_handlers.Count == VectorLimit)
        {
            return false;
        }

        _handlers.Add(handler);
        return true;
    }

    public override bool TryAttachLine(PciAddress function, byte pin, byte line, InterruptHandler handler)
    {
        if (HasLines)
        {
            _lines.Add(handler);
        }

        return HasLines;
    }

    public override void RunLater(InterruptHandler handler)
    {
        if (!_pending.Contains(handler))
        {
            _pending.Enqueue(handler);
        }
    }

    public void Message(ulong address, uint data)
    {
        Assert.Equal(MessageAddress, address);
        Raised++;
        RunLater(_handlers[(int)data]);
    }

    public void Line()
    {
        Raised++;
        foreach (InterruptHandler handler in _lines)
        {
            RunLater(handler);
        }
    }

    /// <summary>Runs handlers until none waits; fails the test when that does not end.</summary>
    public void Deliver()
    {
        for (int i = 0; _pending.TryDequeue(out InterruptHandler? handler); i++)
        {
            Assert.True(i < 100_000, "interrupts do not end");
            handler.Handle();
        }
    }
}
