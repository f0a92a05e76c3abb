using System;
using System.Threading;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>A queue pair of one of L0's interfaces: packets that are being sent, and the buffers that packets are received into.</summary>
internal sealed class NicQueue : PacketSource
{
    private const int None = -1;
    private const int MaximumPacket = 65536 + 64;

    private readonly NicPort _port;
    private readonly NetworkSwitch _switch;
    private readonly NetworkDevice _device;
    private readonly int _queue;
    private SpinLock _lock = new(LockClass.Backend);

    // Sending.
    private readonly Packet?[] _sending = new Packet?[NicLimits.Sending];
    private readonly ushort[] _freeTags = new ushort[NicLimits.Sending];
    private readonly FairQueue _waiting = new(NicLimits.Waiting);
    private readonly DmaSegment[] _pieces = new DmaSegment[NicLimits.Segments];
    private int _freeTagCount;

    // Receiving. A buffer is with the device, idle, or part of the packet that its first buffer names.
    private readonly int _bufferSize;
    private readonly int _blockOrder;
    private readonly int _buffersPerBlock;
    private readonly int _spareBuffers;
    private readonly ulong[] _blocks;
    private readonly HeaderMemory _headers;
    private readonly Packet[] _packets;
    private readonly int[] _nextBuffer;
    private readonly bool[] _isWithDevice;
    private int _blockCount;
    private int _idle = None;
    private int _heldBuffers;
    private int _needsKick;

    internal NicQueue(NicPort port, NetworkSwitch owner, NetworkDevice device, int queue)
    {
        _port = port;
        _switch = owner;
        _device = device;
        _queue = queue;
        for (int i = 0; i < NicLimits.Sending; i++)
        {
            _freeTags[_freeTagCount++] = (ushort)i;
        }

        _bufferSize = (int)device.Capabilities.ReceiveBufferSize;
        while (Cpu.PageSize << _blockOrder < _bufferSize)
        {
            _blockOrder++;
        }

        _buffersPerBlock = (Cpu.PageSize << _blockOrder) / _bufferSize;
        int affordable = NicLimits.BufferBytes / (Cpu.PageSize << _blockOrder) * _buffersPerBlock;
        int used = Math.Min(Math.Min(device.ReceiveCapacity(queue), NicLimits.Buffers), affordable);
        _spareBuffers = used / NicLimits.BuffersPerSpare + 1;
        int buffers = used + _spareBuffers;
        _blocks = new ulong[(buffers + _buffersPerBlock - 1) / _buffersPerBlock];
        _headers = new HeaderMemory(buffers);
        _packets = new Packet[buffers];
        _nextBuffer = new int[buffers];
        _isWithDevice = new bool[buffers];
        int fragments = MaximumPacket / _bufferSize + 2;
        for (int i = 0; i < buffers; i++)
        {
            _packets[i] = new Packet(this, i, fragments);
            _nextBuffer[i] = _idle;
            _idle = i;
        }
    }

    /// <inheritdoc/>
    internal override bool MayWait => Volatile.Read(ref _heldBuffers) <= _spareBuffers;

    /// <summary>Takes memory for buffers; false, with none taken, when it is out.</summary>
    internal bool TryAllocate()
    {
        if (!_headers.TryAllocate())
        {
            return false;
        }

        while (_blockCount < _blocks.Length)
        {
            if (!FrameAllocator.TryAllocate(_blockOrder, ulong.MaxValue, out _blocks[_blockCount]))
            {
                Free();
                return false;
            }

            _blockCount++;
        }

        for (int i = 0; i < _packets.Length; i++)
        {
            _packets[i].SetHeaderMemory(_headers.Address(i));
        }

        return true;
    }

    /// <summary>Gives the memory back; only while the device has none of it.</summary>
    internal void Free()
    {
        _headers.Free();
        while (_blockCount > 0)
        {
            FrameAllocator.Free(_blocks[--_blockCount], _blockOrder);
        }
    }

    /// <summary>Sends a packet, or lets it wait; false when too many wait that came in where it did.</summary>
    internal bool TrySend(Packet packet)
    {
        Packet? lost = null;
        _lock.Acquire();
        if (!_waiting.IsEmpty || !TrySubmit(packet))
        {
            _waiting.Add(packet, out lost);
        }

        _lock.Release();
        if (lost != null && lost != packet)
        {
            _port.Statistics.CountDropped();
            lost.Release();
        }

        return lost != packet;
    }

    /// <summary>Sends the packets that wait, as far as there is room.</summary>
    internal void SendWaiting()
    {
        _lock.Acquire();
        while (!_waiting.IsEmpty && TrySubmit(_waiting.Next()))
        {
            _waiting.RemoveNext();
        }

        _lock.Release();
    }

    /// <summary>A packet has left its memory.</summary>
    internal void Sent(uint tag)
    {
        Packet? packet = null;
        _lock.Acquire();
        if (tag < NicLimits.Sending && _sending[(int)tag] != null)
        {
            packet = _sending[(int)tag];
            _sending[(int)tag] = null;
            _freeTags[_freeTagCount++] = (ushort)tag;
        }

        _lock.Release();
        if (packet != null)
        {
            packet.Release();
        }
    }

    /// <summary>A packet was received.</summary>
    internal void Received(ReadOnlySpan<uint> buffers, uint firstOffset, uint length, in PacketOffload offload)
    {
        if (!TryTakeBuffers(buffers))
        {
            return;
        }

        Packet packet = _packets[(int)buffers[0]];
        packet.Start();
        packet.Offload = offload;
        if (TryDescribe(packet, buffers, firstOffset, length))
        {
            _switch.Forward(_port, packet);
        }
        else
        {
            _port.Statistics.CountRejected();
            packet.Release();
        }
    }

    /// <summary>A buffer came back unused.</summary>
    internal void Returned(uint tag)
    {
        _lock.Acquire();
        if (IsWithDevice(tag))
        {
            _isWithDevice[(int)tag] = false;
            _nextBuffer[(int)tag] = _idle;
            _idle = (int)tag;
        }

        _lock.Release();
    }

    /// <inheritdoc/>
    internal override void Released(Packet packet)
    {
        _lock.Acquire();
        int buffer = packet.Index;
        while (buffer != None)
        {
            int next = _nextBuffer[buffer];
            _nextBuffer[buffer] = _idle;
            _idle = buffer;
            _heldBuffers--;
            buffer = next;
        }

        _lock.Release();
        _switch.Touch(_port.Index);
    }

    /// <summary>Gives idle buffers to the device.</summary>
    internal void Refill()
    {
        _lock.Acquire();
        while (_idle != None)
        {
            int buffer = _idle;
            int next = _nextBuffer[buffer];
            if (!_device.TrySupplyReceiveBuffer(_queue, Address(buffer), (uint)buffer))
            {
                break;
            }

            _isWithDevice[buffer] = true;
            _idle = next;
            _needsKick = 1;
        }

        _lock.Release();
    }

    /// <summary>Tells the device about packets and buffers.</summary>
    internal void Kick()
    {
        _lock.Acquire();
        if (_needsKick != 0)
        {
            _needsKick = 0;
            _device.Kick(_queue);
        }

        _lock.Release();
    }

    /// <summary>Several packets may have been sent or released.</summary>
    internal void EndBurst()
    {
        Refill();
        Kick();
    }

    private bool IsWithDevice(uint buffer) => buffer < (uint)_isWithDevice.Length && _isWithDevice[(int)buffer];

    private bool TrySubmit(Packet packet)
    {
        int count = packet.FragmentCount + 1;
        if (_freeTagCount == 0)
        {
            return false;
        }

        _pieces[0] = packet.HeaderSegment;
        new ReadOnlySpan<DmaSegment>(packet.Fragments, 0, packet.FragmentCount).CopyTo(new Span<DmaSegment>(_pieces, 1, packet.FragmentCount));
        uint tag = _freeTags[_freeTagCount - 1];

        // Before the device has it: it may be sent before the call returns.
        _freeTagCount--;
        _sending[(int)tag] = packet;
        if (!_device.TrySend(_queue, new ReadOnlySpan<DmaSegment>(_pieces, 0, count), in packet.Offload, tag))
        {
            _sending[(int)tag] = null;
            _freeTags[_freeTagCount++] = (ushort)tag;
            return false;
        }

        _port.Statistics.CountOut(packet.Length);
        _needsKick = 1;
        return true;
    }

    private ulong Address(int buffer) =>
        (_blocks[buffer / _buffersPerBlock] << Cpu.PageShift) + (uint)(buffer % _buffersPerBlock * _bufferSize);

    /// <summary>Takes the buffers of a packet from the device and chains them. False when the device does not have them all.</summary>
    private bool TryTakeBuffers(ReadOnlySpan<uint> buffers)
    {
        _lock.Acquire();
        int taken = 0;
        while (taken < buffers.Length && IsWithDevice(buffers[taken]))
        {
            // At once, so that a buffer named twice is noticed.
            _isWithDevice[(int)buffers[taken]] = false;
            taken++;
        }

        bool isValid = taken != 0 && taken == buffers.Length;
        for (int i = 0; i < taken; i++)
        {
            _isWithDevice[(int)buffers[i]] = !isValid;
            _nextBuffer[(int)buffers[i]] = i + 1 < taken ? (int)buffers[i + 1] : None;
        }

        _heldBuffers += isValid ? taken : 0;
        _lock.Release();
        return isValid;
    }

    private bool TryDescribe(Packet packet, ReadOnlySpan<uint> buffers, uint firstOffset, uint length)
    {
        if (length < PacketHeaders.EthernetSize || length > MaximumPacket
            || (packet.Offload.Segmentation != SegmentationType.None && packet.Offload.SegmentSize == 0))
        {
            return false;
        }

        packet.Length = length;
        uint offset = firstOffset;
        uint left = length;
        foreach (uint buffer in buffers)
        {
            if (offset > (uint)_bufferSize)
            {
                return false;
            }

            uint count = Math.Min(left, (uint)_bufferSize - offset);
            if (!TryAppend(packet, Address((int)buffer) + offset, count))
            {
                return false;
            }

            left -= count;
            offset = 0;
        }

        packet.Headers = left == 0 ? PacketHeaders.Parse(packet.Header) : default;
        return left == 0;
    }

    /// <summary>Copies what belongs to the beginning, refers to the rest.</summary>
    private static bool TryAppend(Packet packet, ulong address, uint length)
    {
        int copied = (int)Math.Min(length, (uint)(Packet.HeaderCapacity - packet.HeaderLength));
        int start = packet.HeaderLength;
        packet.HeaderLength += copied;
        PhysicalMemory.Bytes(address, copied).CopyTo(packet.Header.Slice(start));
        return packet.TryAppend(address + (uint)copied, length - (uint)copied);
    }
}
