using System;
using System.Numerics;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// The receiving side of Xen's FIFO event channel ABI (xen/include/public/event_channel.h): event words of all ports in an array of pages, and for
/// each CPU a control block with 16 queues of ports that are linked through their words. Links that L0 writes are checked before they are used.
/// A CPU empties its queues before it serves what was in them: Xen announces a queue only when it was empty, so that one which a failed handler
/// leaves behind would never be looked at again.
/// </summary>
internal sealed class FifoQueues
{
    private const uint Pending = 1u << EventChannelFifo.Pending;
    private const uint Masked = 1u << EventChannelFifo.Masked;
    private const uint Linked = 1u << EventChannelFifo.Linked;
    private const int BitsPerWord = 64;

    private readonly XenHypercalls _xen;
    private readonly EventPorts _ports;

    // Physical addresses; 0 before there is one. Pages stay when the domain is another one after a restore.
    private readonly ulong[] _blocks;
    private readonly ulong[] _pages;

    // A bit for each port that a CPU has taken out of its queues and not served yet, and one for each word of these that is not zero.
    private readonly ulong[] _taken;
    private readonly ulong[] _takenWords;
    private readonly int _takenLength;
    private uint _words;

    /// <summary>Queues that nobody uses yet.</summary>
    /// <param name="xen">Calls to Xen.</param>
    /// <param name="ports">Serves the ports.</param>
    /// <param name="cpus">CPUs that may have queues.</param>
    /// <param name="limit">The ports' limit, a multiple of those of a page, 4,096 at most.</param>
    public FifoQueues(XenHypercalls xen, EventPorts ports, int cpus, int limit)
    {
        _xen = xen;
        _ports = ports;
        _blocks = new ulong[cpus];
        _takenLength = limit / BitsPerWord;
        _taken = new ulong[cpus * _takenLength];
        _takenWords = new ulong[cpus];
        _pages = new ulong[limit / EventChannelFifo.WordsPerPage];
    }

    /// <summary>Gives a CPU its control block; the first one has Xen use this ABI for the domain.</summary>
    /// <param name="cpu">Number of the CPU in L1.</param>
    /// <param name="vcpu">Xen's number of it.</param>
    /// <returns>False when memory is out or Xen does not offer this ABI.</returns>
    public bool TryStart(int cpu, uint vcpu)
    {
        if (!TryTakePage(ref _blocks[cpu]))
        {
            return false;
        }

        PhysicalMemory.ZeroFrame(_blocks[cpu] >> Cpu.PageShift);
        _takenWords[cpu] = 0;
        _taken.AsSpan(cpu * _takenLength, _takenLength).Clear();
        EventChannelInitializeControl argument = new() { ControlFrame = _blocks[cpu] >> Cpu.PageShift, Vcpu = vcpu };
        return _xen.EventChannel(EventChannelOp.InitializeControl, ref argument) == 0;
    }

    /// <summary>The domain is another one, which has neither control blocks nor event words.</summary>
    public void Reset() => Volatile.Write(ref _words, 0u);

    /// <summary>Has an event word for a port; under the ports' lock. New words are masked.</summary>
    /// <returns>False when memory is out, or Xen refuses.</returns>
    public bool TryAdd(uint port)
    {
        while (port >= _words)
        {
            ref ulong page = ref _pages[_words / EventChannelFifo.WordsPerPage];
            if (!TryTakePage(ref page))
            {
                return false;
            }

            PhysicalMemory.FrameAs<uint>(page >> Cpu.PageShift).Fill(Masked);
            EventChannelExpandArray argument = new() { ArrayFrame = page >> Cpu.PageShift };
            if (_xen.EventChannel(EventChannelOp.ExpandArray, ref argument) != 0)
            {
                return false;
            }

            Volatile.Write(ref _words, _words + EventChannelFifo.WordsPerPage);
        }

        return true;
    }

    /// <summary>Holds a port's events back.</summary>
    public void Mask(uint port)
    {
        if (port < Volatile.Read(ref _words))
        {
            AtomicBits.TestAndSet(ref Word(port), EventChannelFifo.Masked);
        }
    }

    /// <summary>Serves what is queued for this CPU.</summary>
    public void Handle(int cpu)
    {
        uint ready = Interlocked.Exchange(ref PhysicalMemory.At<uint>(_blocks[cpu] + EventChannelFifo.ReadyOffset), 0);
        while (ready != 0)
        {
            Empty(cpu, BitOperations.TrailingZeroCount(ready));
            ready &= ready - 1;
        }

        while (_takenWords[cpu] != 0)
        {
            ServeWord(cpu, BitOperations.TrailingZeroCount(_takenWords[cpu]));
        }
    }

    /// <summary>Takes all ports out of a queue. Each loses its link, so that rings of them end, too.</summary>
    private void Empty(int cpu, int queue)
    {
        uint port = Volatile.Read(ref PhysicalMemory.At<uint>(_blocks[cpu] + EventChannelFifo.HeadOffset + (uint)queue * sizeof(uint)));
        while (port != 0 && port < Volatile.Read(ref _words))
        {
            int word = (int)(port / BitsPerWord);
            _taken[cpu * _takenLength + word] |= 1UL << (int)(port % BitsPerWord);
            _takenWords[cpu] |= 1UL << word;
            port = Unlink(ref Word(port));
        }
    }

    private void ServeWord(int cpu, int word)
    {
        ref ulong taken = ref _taken[cpu * _takenLength + word];
        while (taken != 0)
        {
            uint port = (uint)(word * BitsPerWord + BitOperations.TrailingZeroCount(taken));
            taken &= taken - 1;
            ServeIfPending(port);
        }

        _takenWords[cpu] &= ~(1UL << word);
    }

    private void ServeIfPending(uint port)
    {
        ref uint word = ref Word(port);
        if ((Volatile.Read(ref word) & (Pending | Masked)) == Pending)
        {
            AtomicBits.Clear(ref word, Pending);
            _ports.Serve(port);
        }
    }

    /// <summary>Takes a port out of its queue, which Xen may put it in again at once.</summary>
    /// <returns>The port that was linked to it; 0 for none.</returns>
    private static uint Unlink(ref uint word)
    {
        uint old = Volatile.Read(ref word);
        while (true)
        {
            uint seen = Interlocked.CompareExchange(ref word, old & ~(Linked | EventChannelFifo.LinkMask), old);
            if (seen == old)
            {
                return old & EventChannelFifo.LinkMask;
            }

            old = seen;
        }
    }

    private static bool TryTakePage(ref ulong page)
    {
        if (page == 0 && FrameAllocator.TryAllocate(out ulong frame))
        {
            page = frame << Cpu.PageShift;
        }

        return page != 0;
    }

    private ref uint Word(uint port) =>
        ref PhysicalMemory.At<uint>(_pages[port / EventChannelFifo.WordsPerPage] + port % EventChannelFifo.WordsPerPage * sizeof(uint));
}
