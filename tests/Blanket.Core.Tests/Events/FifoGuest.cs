using System.Collections.Generic;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>A guest's side of the FIFO ABI: event words, control blocks, and the consumer of the queues.</summary>
internal sealed class FifoGuest
{
    private readonly EventGuest _guest;
    private readonly List<ulong> _array = [];
    private readonly ulong[] _blocks;

    // Where the guest stands in each queue; 0 when it has to look at the control block's head.
    private readonly uint[,] _heads;

    public FifoGuest(EventGuest guest)
    {
        _guest = guest;
        _blocks = new ulong[guest.Domain.Vcpus.Length];
        _heads = new uint[_blocks.Length, EventChannelFifo.Queues];
    }

    public void Initialize(uint vcpu, ulong frame, uint offset = 0)
    {
        Assert.Equal(0, _guest.InitializeControl(frame, offset, vcpu, out byte linkBits));
        Assert.Equal(EventChannelFifo.LinkBits, linkBits);
        _blocks[vcpu] = (frame << Cpu.PageShift) + offset;
    }

    /// <summary>Adds a page of event words, all masked as a guest does before it gives the page.</summary>
    public void Expand(ulong frame, bool masked = true)
    {
        PhysicalMemory.FrameAs<uint>(frame).Fill(masked ? 1u << EventChannelFifo.Masked : 0);
        _array.Add(frame);
        Assert.Equal(0, _guest.ExpandArray(frame));
    }

    public ref uint Word(uint port) => ref PhysicalMemory.At<uint>((_array[(int)port / 1024] << Cpu.PageShift) + port % 1024 * 4);

    public bool IsSet(uint port, int bit) => (Word(port) >> bit & 1) != 0;

    public void Set(uint port, int bit) => Interlocked.Or(ref Word(port), 1u << bit);

    public void Clear(uint port, int bit) => Interlocked.And(ref Word(port), ~(1u << bit));

    public ref uint Ready(uint vcpu) => ref PhysicalMemory.At<uint>(_blocks[vcpu]);

    public ref uint Head(uint vcpu, int priority) => ref PhysicalMemory.At<uint>(_blocks[vcpu] + 8 + (ulong)priority * 4);

    /// <summary>Takes everything out of a vCPU's queues, in the order in which a guest handles it.</summary>
    public List<uint> TakeEvents(uint vcpu)
    {
        List<uint> events = [];
        uint ready = Interlocked.Exchange(ref Ready(vcpu), 0);
        while (ready != 0)
        {
            int priority = System.Numerics.BitOperations.TrailingZeroCount(ready);
            if (!TryTake(vcpu, priority, events))
            {
                ready &= ~(1u << priority);
            }

            ready |= Interlocked.Exchange(ref Ready(vcpu), 0);
        }

        return events;
    }

    // The consumer of the design document: unlink the head, follow its link, handle it if it is pending.
    private bool TryTake(uint vcpu, int priority, List<uint> events)
    {
        ref uint head = ref _heads[vcpu, priority];
        if (head == 0)
        {
            head = Head(vcpu, priority);
        }

        uint port = head;
        uint old;
        uint next;
        do
        {
            old = Volatile.Read(ref Word(port));
            next = old & EventChannelFifo.LinkMask;
        }
        while (Interlocked.CompareExchange(ref Word(port), old & ~((1u << EventChannelFifo.Linked) | EventChannelFifo.LinkMask), old) != old);

        head = next;
        if (IsSet(port, EventChannelFifo.Pending) && !IsSet(port, EventChannelFifo.Masked))
        {
            Clear(port, EventChannelFifo.Pending);
            events.Add(port);
        }

        return next != 0;
    }
}
