using System;
using System.Numerics;

namespace Blanket.Backends;

/// <summary>
/// Packets that wait for room in one of L0's interfaces, a queue for each port that they came in by. The ports take turns of equal numbers of bytes (deficit
/// round robin, Shreedhar and Varghese 1995). When it is full the port that has most packets in it loses one. Whoever uses it holds a lock.
/// </summary>
internal sealed class FairQueue
{
    /// <summary>Bytes of a port's turn: a quarter of the largest packet, so that nobody waits for long and finding whose turn it is takes few steps.</summary>
    internal const int Turn = 16 * 1024;

    private const short None = -1;

    private readonly Packet?[] _packets;
    private readonly short[] _next;
    private readonly PortQueue[] _ports = new PortQueue[NetworkSwitch.MaximumPorts];
    private short _free = None;
    private ulong _active;
    private int _current;

    /// <summary>An empty queue.</summary>
    /// <param name="capacity">Packets of all ports.</param>
    internal FairQueue(int capacity)
    {
        _packets = new Packet?[capacity];
        _next = new short[capacity];
        for (int i = capacity - 1; i >= 0; i--)
        {
            _next[i] = _free;
            _free = (short)i;
        }
    }

    /// <summary>Whether nothing waits.</summary>
    internal bool IsEmpty => _active == 0;

    /// <summary>Lets a packet wait.</summary>
    /// <param name="packet">The packet.</param>
    /// <param name="lost">A packet that had to leave for it, which may be the same; null for none.</param>
    internal void Add(Packet packet, out Packet? lost)
    {
        lost = null;
        if (_free == None)
        {
            int longest = Longest();
            if (longest == packet.Ingress)
            {
                lost = packet;
                return;
            }

            lost = RemoveFirst(longest);
        }

        short entry = _free;
        _free = _next[entry];
        _next[entry] = None;
        _packets[entry] = packet;
        ref PortQueue queue = ref _ports[packet.Ingress];
        if (queue.Count == 0)
        {
            queue.First = entry;
            queue.Deficit = 0;
            _active |= 1UL << packet.Ingress;
        }
        else
        {
            _next[queue.Last] = entry;
        }

        queue.Last = entry;
        queue.Count++;
    }

    /// <summary>The packet whose turn it is; something must wait.</summary>
    internal Packet Next()
    {
        while (true)
        {
            ref PortQueue queue = ref _ports[_current];
            if (queue.Count != 0 && _packets[queue.First]!.Length <= queue.Deficit)
            {
                return _packets[queue.First]!;
            }

            MoveOn();
        }
    }

    /// <summary>Takes away what <see cref="Next"/> told.</summary>
    internal void RemoveNext() => _ports[_current].Deficit -= RemoveFirst(_current).Length;

    /// <summary>Begins the next port's turn.</summary>
    private void MoveOn()
    {
        ulong behind = _current + 1 == NetworkSwitch.MaximumPorts ? 0 : _active & ulong.MaxValue << (_current + 1);
        _current = BitOperations.TrailingZeroCount(behind != 0 ? behind : _active);
        _ports[_current].Deficit += Turn;
    }

    private Packet RemoveFirst(int port)
    {
        ref PortQueue queue = ref _ports[port];
        short entry = queue.First;
        Packet packet = _packets[entry]!;
        queue.First = _next[entry];
        if (--queue.Count == 0)
        {
            _active &= ~(1UL << port);
        }

        _packets[entry] = null;
        _next[entry] = _free;
        _free = entry;
        return packet;
    }

    private int Longest()
    {
        int longest = 0;
        for (ulong ports = _active; ports != 0; ports &= ports - 1)
        {
            int port = BitOperations.TrailingZeroCount(ports);
            longest = _ports[port].Count > _ports[longest].Count ? port : longest;
        }

        return longest;
    }

    private struct PortQueue
    {
        internal short First;
        internal short Last;
        internal int Count;

        /// <summary>Bytes that the port may send before it is the next one's turn.</summary>
        internal uint Deficit;
    }
}
