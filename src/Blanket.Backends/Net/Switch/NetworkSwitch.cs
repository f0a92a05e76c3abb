using System;
using System.Buffers.Binary;
using System.Numerics;
using System.Threading;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// A learning Ethernet switch (IEEE 802.1Q, clause 8, without spanning tree) between guests' interfaces and L0's. Packets are passed by
/// reference; nothing is ever sent back to where it came from.
/// </summary>
public sealed class NetworkSwitch
{
    /// <summary>The most ports of a switch.</summary>
    public const int MaximumPorts = 64;

    private const ulong GroupBit = 1UL << 40;
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    // 01-80-C2-00-00-00 to -0F: pause frames, spanning tree and the like concern one link only and are not passed on.
    private const ulong LinkLocalFirst = 0x0180c2000000;
    private const ulong LinkLocalLast = 0x0180c200000f;

    private readonly BackendHost _host;
    private readonly SwitchPort?[] _ports = new SwitchPort?[MaximumPorts];
    private readonly MacTable _addresses;
    private readonly PacketSegmenter _segmenter;
    private SpinLock _lock;
    private ulong _used;
    private ulong _touched;

    private NetworkSwitch(BackendHost host, ulong key, HeaderMemory headers)
    {
        _host = host;
        _addresses = new MacTable(key);
        _segmenter = new PacketSegmenter(this, headers);
        _lock = new SpinLock(LockClass.NetworkSwitch);
    }

    /// <summary>Makes a switch without ports. Creates objects, in the caller's arena.</summary>
    /// <param name="host">The hypervisor around.</param>
    /// <param name="key">A random number that guests do not know.</param>
    /// <returns>Null when memory is out.</returns>
    public static NetworkSwitch? Create(BackendHost host, ulong key)
    {
        HeaderMemory headers = new(PacketSegmenter.Capacity);
        return headers.TryAllocate() ? new NetworkSwitch(host, key, headers) : null;
    }

    /// <summary>Connects one of L0's interfaces. Creates objects, in the caller's arena.</summary>
    /// <param name="device">The interface, which nobody else uses.</param>
    /// <returns>0, -EBUSY, -ENOMEM, -ENOSPC (too many ports).</returns>
    public int CreateUplink(NetworkDevice device)
    {
        if (device.Client != null)
        {
            return -Abi.Xen.Errno.EBUSY;
        }

        NicPort port = new(this, device);
        if (!port.TryAllocate())
        {
            return -Abi.Xen.Errno.ENOMEM;
        }

        if (!TryAdd(port))
        {
            port.Free();
            return -Abi.Xen.Errno.ENOSPC;
        }

        port.Start();
        return 0;
    }

    /// <summary>What passed through a port, by number in order of creation; zeroes for a port that is not there.</summary>
    public PortStatistics StatisticsOf(int port)
    {
        SwitchPort? found = (uint)port < MaximumPorts ? Volatile.Read(ref _ports[port]) : null;
        return found == null ? default : found.Statistics;
    }

    /// <summary>Connects a port; false when there are too many.</summary>
    internal bool TryAdd(SwitchPort port)
    {
        _lock.Acquire();
        int index = BitOperations.TrailingZeroCount(~_used);
        bool found = index < MaximumPorts;
        if (found)
        {
            port.Index = index;
            _ports[index] = port;
            _used |= 1UL << index;
        }

        _lock.Release();
        return found;
    }

    /// <summary>Gives a port an address that no other port can take over; false when it is another port's already.</summary>
    internal bool TryFixAddress(SwitchPort port, ReadOnlySpan<byte> address)
    {
        _lock.Acquire();
        bool done = _addresses.TryFix(ReadAddress(address), port.Index, Seconds);
        _lock.Release();
        return done;
    }

    /// <summary>Disconnects a port; packets that others have for it are dropped from now on.</summary>
    internal void Remove(SwitchPort port)
    {
        _lock.Acquire();
        _used &= ~(1UL << port.Index);
        _ports[port.Index] = null;
        _addresses.Forget(port.Index);
        _lock.Release();
    }

    /// <summary>Passes a packet on; it is the switch's from here. <see cref="EndBurst"/> has to follow, once for any number of packets.</summary>
    internal void Forward(SwitchPort ingress, Packet packet)
    {
        if (!TryRoute(ingress, packet, out ulong ports))
        {
            ingress.Statistics.CountRejected();
            packet.Release();
            return;
        }

        ingress.Statistics.CountIn(packet.Length);
        packet.Ingress = ingress.Index;
        packet.IsFlooded = (ports & unchecked(ports - 1)) != 0;
        if (TryPrepareChecksum(packet, ports))
        {
            for (; ports != 0; ports &= ports - 1)
            {
                Pass(BitOperations.TrailingZeroCount(ports), packet);
            }
        }

        packet.Release();
    }

    /// <summary>Gives a packet to a port, with a reference of its own.</summary>
    internal void Give(SwitchPort port, Packet packet)
    {
        packet.AddReference();
        if (port.TryTake(packet))
        {
            Touch(port.Index);
        }
        else
        {
            port.Statistics.CountDropped();
            packet.Release();
        }
    }

    /// <summary>Notes that a port has something to do at the end of the burst.</summary>
    internal void Touch(int port) => Interlocked.Or(ref _touched, 1UL << port);

    /// <summary>Lets the ports act on what was given to them.</summary>
    internal void EndBurst()
    {
        for (ulong touched = Interlocked.Exchange(ref _touched, 0); touched != 0; touched &= touched - 1)
        {
            SwitchPort? port = Volatile.Read(ref _ports[BitOperations.TrailingZeroCount(touched)]);
            if (port != null)
            {
                port.EndBurst();
            }
        }
    }

    // For each packet, and in minutes: the clock is not read for it.
    private uint Seconds => unchecked((uint)(_host.LastKnown / NanosecondsPerSecond));

    private static ulong ReadAddress(ReadOnlySpan<byte> bytes) =>
        ((ulong)BinaryPrimitives.ReadUInt32BigEndian(bytes) << 16) | BinaryPrimitives.ReadUInt16BigEndian(bytes.Slice(4));

    private bool TryRoute(SwitchPort ingress, Packet packet, out ulong ports)
    {
        ulong destination = ReadAddress(packet.Header);
        ulong source = ReadAddress(packet.Header.Slice(6));
        ports = 0;
        if ((source & GroupBit) != 0 || (ingress.Filter != null && !ingress.Filter.Allows(packet.Header)))
        {
            return false;
        }

        uint now = Seconds;
        _lock.Acquire();
        bool isAllowed = !_addresses.IsTaken(source, ingress.Index);
        if (isAllowed)
        {
            _addresses.Learn(source, ingress.Index, now);
            ports = Route(destination, now) & ~(1UL << ingress.Index);
        }

        _lock.Release();
        return isAllowed;
    }

    private ulong Route(ulong destination, uint now)
    {
        if ((destination & GroupBit) != 0)
        {
            return destination >= LinkLocalFirst && destination <= LinkLocalLast ? 0 : _used;
        }

        int port = _addresses.Find(destination, now);
        return port == MacTable.None ? _used : 1UL << port;
    }

    /// <summary>Fills in the checksum if one of the receivers cannot take the packet without; before any of them has it. False when that is impossible.</summary>
    private bool TryPrepareChecksum(Packet packet, ulong ports)
    {
        if (!packet.Offload.NeedsChecksum || packet.Offload.Segmentation != SegmentationType.None)
        {
            return true;
        }

        for (; ports != 0; ports &= ports - 1)
        {
            SwitchPort? port = Volatile.Read(ref _ports[BitOperations.TrailingZeroCount(ports)]);
            if (port != null && !port.CanChecksum(packet))
            {
                return packet.TryCompleteChecksum();
            }
        }

        return true;
    }

    private void Pass(int index, Packet packet)
    {
        SwitchPort? port = Volatile.Read(ref _ports[index]);
        if (port == null)
        {
            return;
        }

        if (packet.Offload.Segmentation != SegmentationType.None && !port.CanSegment(packet.Offload.Segmentation))
        {
            _segmenter.Segment(port, packet);
        }
        else
        {
            Give(port, packet);
        }
    }
}
