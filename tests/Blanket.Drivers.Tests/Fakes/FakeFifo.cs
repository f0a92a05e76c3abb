using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>Xen's side of the FIFO ABI (xen/common/event_fifo.c does the same), with all ports in one queue a CPU.</summary>
internal sealed class FakeFifo
{
    private const uint Pending = 1u << EventChannelFifo.Pending;
    private const uint Masked = 1u << EventChannelFifo.Masked;
    private const uint Linked = 1u << EventChannelFifo.Linked;
    private const uint Queue = EventChannelFifo.DefaultPriority;

    private readonly Dictionary<uint, ulong> _blocks = [];
    private readonly Dictionary<uint, uint> _tails = [];
    private readonly Dictionary<uint, uint> _lastVcpus = [];
    private readonly List<ulong> _pages = [];

    /// <summary>Takes no page of event words.</summary>
    public bool RefusesPages { get; set; }

    /// <summary>The domain is another one.</summary>
    public void Clear()
    {
        _blocks.Clear();
        _tails.Clear();
        _lastVcpus.Clear();
        _pages.Clear();
    }

    public long Call(int command, Span<byte> argument)
    {
        if (command == EventChannelOp.InitializeControl)
        {
            EventChannelInitializeControl control = MemoryMarshal.Read<EventChannelInitializeControl>(argument);
            return _blocks.TryAdd(control.Vcpu, (control.ControlFrame << Cpu.PageShift) + control.Offset) ? 0 : -Errno.EINVAL;
        }

        if (RefusesPages)
        {
            return -Errno.ENOMEM;
        }

        _pages.Add(MemoryMarshal.Read<EventChannelExpandArray>(argument).ArrayFrame << Cpu.PageShift);
        return _blocks.Count != 0 ? 0 : -Errno.EOPNOTSUPP;
    }

    /// <summary>An event for a port.</summary>
    /// <returns>Whether its CPU has to be told.</returns>
    public bool SetPending(uint port, uint vcpu)
    {
        ref uint word = ref Word(port);
        word |= Pending;
        if ((word & (Masked | Linked)) != 0)
        {
            return false;
        }

        // A tail that moves leaves an empty queue behind.
        if (_lastVcpus.TryGetValue(port, out uint lastVcpu) && _tails[lastVcpu] == port)
        {
            _tails[lastVcpu] = 0;
        }

        uint tail = _tails.GetValueOrDefault(vcpu);
        bool continues = tail != 0 && (Word(tail) & Linked) != 0;
        word |= Linked;
        _lastVcpus[port] = vcpu;
        _tails[vcpu] = port;
        if (continues)
        {
            Word(tail) |= port;
            return false;
        }

        PhysicalMemory.Write(_blocks[vcpu] + EventChannelFifo.HeadOffset + Queue * sizeof(uint), port);
        ref uint ready = ref PhysicalMemory.At<uint>(_blocks[vcpu] + EventChannelFifo.ReadyOffset);
        bool isNew = (ready & 1u << (int)Queue) == 0;
        ready |= 1u << (int)Queue;
        return isNew;
    }

    /// <summary>Lets a port's events through.</summary>
    /// <returns>Whether one is pending.</returns>
    public bool Unmask(uint port)
    {
        Word(port) &= ~Masked;
        return (Word(port) & Pending) != 0;
    }

    /// <summary>A port's event word, for tests that lie.</summary>
    public ref uint Word(uint port) =>
        ref PhysicalMemory.At<uint>(_pages[(int)(port / EventChannelFifo.WordsPerPage)] + port % EventChannelFifo.WordsPerPage * sizeof(uint));
}
