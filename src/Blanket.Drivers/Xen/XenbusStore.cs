using System;
using System.Buffers.Binary;
using System.Threading;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// L1 as a client of L0's xenstore, over the ring of its domain (docs/misc/xenstore-ring.txt). Requests never wait: answers come by
/// <see cref="StoreReply"/>. Requests are answered in order or not; paths are absolute, or relative to L1's own home.
/// A store that breaks the protocol, or ends, fails what is under way; nothing that it sends is believed unchecked.
/// </summary>
public sealed class XenbusStore : InterruptHandler
{
    /// <summary>The most requests that wait for an answer.</summary>
    public const int MaximumRequests = 256;

    /// <summary>The most watches.</summary>
    public const int MaximumWatches = 256;

    private const int OutputSize = 64 * 1024;
    private const int MaximumWatchPath = 256;
    private const int NoSlot = -1;

    private struct Slot
    {
        public uint Request;
        public bool IsUsed;
    }

    private readonly EventPorts _events;
    private readonly Slot[] _slots = new Slot[MaximumRequests];
    private readonly StoreReply?[] _replies = new StoreReply?[MaximumRequests];
    private readonly StoreWatch?[] _watches = new StoreWatch?[MaximumWatches];
    private readonly byte[] _watchPaths = new byte[MaximumWatches * MaximumWatchPath];
    private readonly int[] _watchLengths = new int[MaximumWatches];

    // Bytes that wait for room in the ring: indexes run freely.
    private readonly byte[] _output = new byte[OutputSize];
    private readonly byte[] _message = new byte[XenStoreWire.HeaderSize + XenStoreWire.PayloadMax];
    private readonly NoReply _ignored = new();
    private SpinLock _lock = new(LockClass.DriverTransport);
    private uint _outputStart;
    private uint _outputEnd;
    private int _received;
    private uint _lastRequest;
    private int _used;
    private SoleWorker _turn;
    private DeviceRegisters _ring;
    private uint _port;
    private bool _isBroken = true;

    private XenbusStore(EventPorts events) => _events = events;

    /// <summary>Whether the connection is of no use: the store broke the protocol, or is not there.</summary>
    public bool IsBroken => Volatile.Read(ref _isBroken);

    /// <summary>Requests that wait for an answer.</summary>
    public int Outstanding => Volatile.Read(ref _used);

    /// <summary>A client without a connection.</summary>
    public static XenbusStore Create(EventPorts events) => new(events);

    /// <summary>
    /// Connects, at boot or after a restore: requests that were under way end with Again, watches are set again, and fire.
    /// </summary>
    /// <param name="ring">The ring's page.</param>
    /// <param name="port">Its event channel.</param>
    /// <returns>False when the port cannot be one.</returns>
    public bool Connect(DeviceRegisters ring, uint port)
    {
        _lock.Acquire();
        _ring = ring;
        _port = port;
        _received = 0;
        _outputStart = 0;
        _outputEnd = 0;
        Volatile.Write(ref _isBroken, false);
        _lock.Release();
        if (!_events.Attach(port, this))
        {
            Break("its event channel cannot be one"u8);
            return false;
        }

        FailAll(XenStoreError.Again);
        for (int i = 0; i < MaximumWatches; i++)
        {
            if (_watches[i] != null)
            {
                SendWatch(i, XenStoreMessage.Watch);
            }
        }

        return true;
    }

    /// <summary>Reads a node.</summary>
    /// <returns>False when there is no room for the request: nothing was sent and nobody will be called. The same for all that follow.</returns>
    public bool TryRead(uint transaction, ReadOnlySpan<byte> path, StoreReply reply) =>
        TrySend(XenStoreMessage.Read, transaction, path, true, default, reply);

    /// <summary>Names of a node's children, each with a terminating zero.</summary>
    public bool TryList(uint transaction, ReadOnlySpan<byte> path, StoreReply reply) =>
        TrySend(XenStoreMessage.Directory, transaction, path, true, default, reply);

    /// <summary>Writes a node.</summary>
    public bool TryWrite(uint transaction, ReadOnlySpan<byte> path, ReadOnlySpan<byte> value, StoreReply? reply) =>
        TrySend(XenStoreMessage.Write, transaction, path, true, value, reply);

    /// <summary>Removes a node and what is below it.</summary>
    public bool TryRemove(uint transaction, ReadOnlySpan<byte> path, StoreReply? reply) =>
        TrySend(XenStoreMessage.Remove, transaction, path, true, default, reply);

    /// <summary>Starts a transaction; its number comes in decimal.</summary>
    public bool TryStartTransaction(StoreReply reply) => TrySend(XenStoreMessage.TransactionStart, 0, ""u8, true, default, reply);

    /// <summary>Ends a transaction; Again says that it met a conflict and did nothing.</summary>
    public bool TryEndTransaction(uint transaction, bool commits, StoreReply? reply) =>
        TrySend(XenStoreMessage.TransactionEnd, transaction, commits ? "T"u8 : "F"u8, true, default, reply);

    /// <summary>Sets a watch. False when there is no room.</summary>
    /// <param name="path">At most 256 bytes.</param>
    /// <param name="watch">One that is not set.</param>
    public bool TryWatch(ReadOnlySpan<byte> path, StoreWatch watch)
    {
        Check.That(watch.Index < 0 && path.Length <= MaximumWatchPath);
        _lock.Acquire();
        int index = 0;
        while (index < MaximumWatches && _watches[index] != null)
        {
            index++;
        }

        bool found = index < MaximumWatches;
        if (found)
        {
            path.CopyTo(new Span<byte>(_watchPaths, index * MaximumWatchPath, path.Length));
            _watchLengths[index] = path.Length;
            watch.Index = index;
            _watches[index] = watch;
        }

        _lock.Release();
        if (found && !SendWatch(index, XenStoreMessage.Watch))
        {
            RemoveWatch(watch);
            return false;
        }

        return found;
    }

    /// <summary>Ends a watch. It is not called any more once this returns, except on a CPU that is calling it.</summary>
    public void Unwatch(StoreWatch watch)
    {
        if (watch.Index >= 0)
        {
            SendWatch(watch.Index, XenStoreMessage.Unwatch);
            RemoveWatch(watch);
        }
    }

    /// <summary>The event channel has an event: moves bytes both ways and calls whoever waits for what came.</summary>
    public override void Handle() => Process();

    /// <summary>
    /// Moves bytes both ways and calls whoever waits; for boot code that polls. One CPU at a time does the work, others leave it theirs.
    /// </summary>
    public void Process()
    {
        if (!_turn.TryBegin())
        {
            return;
        }

        int seen;
        do
        {
            seen = _turn.Seen;
            FlushOutput();
            while (TryReceive())
            {
                Dispatch();
            }

            FlushOutput();
        }
        while (!_turn.TryEnd(seen));
    }

    private bool TrySend(
        XenStoreMessage type, uint transaction, ReadOnlySpan<byte> first, bool terminates, ReadOnlySpan<byte> second, StoreReply? reply)
    {
        int length = first.Length + (terminates ? 1 : 0) + second.Length;
        Check.That(length <= XenStoreWire.PayloadMax);
        _lock.Acquire();
        int slot = !_isBroken && OutputSize - OutputLength >= XenStoreWire.HeaderSize + length ? FindSlot() : NoSlot;
        if (slot != NoSlot)
        {
            _lastRequest++;
            _slots[slot].Request = _lastRequest;
            _slots[slot].IsUsed = true;
            _replies[slot] = reply ?? _ignored;
            _used++;
            Span<byte> header = stackalloc byte[XenStoreWire.HeaderSize];
            BinaryPrimitives.WriteUInt32LittleEndian(header.Slice(XenStoreWire.HeaderType), (uint)type);
            BinaryPrimitives.WriteUInt32LittleEndian(header.Slice(XenStoreWire.HeaderRequest), _lastRequest);
            BinaryPrimitives.WriteUInt32LittleEndian(header.Slice(XenStoreWire.HeaderTransaction), transaction);
            BinaryPrimitives.WriteUInt32LittleEndian(header.Slice(XenStoreWire.HeaderLength), (uint)length);
            Queue(header);
            Queue(first);
            if (terminates)
            {
                Queue("\0"u8);
            }

            Queue(second);
        }

        _lock.Release();
        if (slot != NoSlot)
        {
            FlushOutput();
        }

        return slot != NoSlot;
    }

    private bool SendWatch(int index, XenStoreMessage type)
    {
        PathBuilder token = new(stackalloc byte[PathBuilder.DecimalMax + 1]);
        token.AppendDecimal((ulong)index);
        token.Append(0);
        return TrySend(
            type, 0, new ReadOnlySpan<byte>(_watchPaths, index * MaximumWatchPath, _watchLengths[index]), true, token.Text, null);
    }

    private void RemoveWatch(StoreWatch watch)
    {
        _lock.Acquire();
        _watches[watch.Index] = null;
        watch.Index = -1;
        _lock.Release();
    }

    private int FindSlot()
    {
        if (_used == MaximumRequests)
        {
            return NoSlot;
        }

        int slot = (int)(_lastRequest % MaximumRequests);
        while (_slots[slot].IsUsed)
        {
            slot = (slot + 1) % MaximumRequests;
        }

        return slot;
    }

    private int OutputLength => (int)unchecked(_outputEnd - _outputStart);

    private void Queue(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            _output[_outputEnd % OutputSize] = value;
            _outputEnd = unchecked(_outputEnd + 1);
        }
    }

    /// <summary>Moves what waits into the ring, as far as there is room.</summary>
    private void FlushOutput()
    {
        bool moved = false;
        bool isDamaged = false;
        _lock.Acquire();
        if (!_isBroken && OutputLength != 0)
        {
            uint producer = _ring.Read32(XenStoreWire.RequestProducer);
            uint used = unchecked(producer - _ring.Read32(XenStoreWire.RequestConsumer));
            isDamaged = used > XenStoreWire.RingSize;
            if (!isDamaged)
            {
                moved = MoveOutput(producer, Math.Min(XenStoreWire.RingSize - (int)used, OutputLength));
            }
        }

        _lock.Release();
        if (isDamaged)
        {
            Break("its request index is out of range"u8);
        }
        else if (moved)
        {
            _events.Notify(_port);
        }
    }

    private bool MoveOutput(uint producer, int count)
    {
        // The store's reads of the space are done before it is written again.
        Interlocked.MemoryBarrier();
        for (int i = 0; i < count; i++)
        {
            uint place = unchecked(producer + (uint)i) % XenStoreWire.RingSize;
            _ring.Write8(XenStoreWire.RequestRing + place, _output[_outputStart % OutputSize]);
            _outputStart = unchecked(_outputStart + 1);
        }

        Interlocked.MemoryBarrier();
        _ring.Write32(XenStoreWire.RequestProducer, unchecked(producer + (uint)count));
        return count != 0;
    }

    /// <summary>Collects bytes of the next message; true when it is complete.</summary>
    private bool TryReceive()
    {
        while (!IsBroken)
        {
            int wanted = Wanted;
            if (_received == wanted)
            {
                return true;
            }

            uint consumer = _ring.Read32(XenStoreWire.ResponseConsumer);
            uint available = unchecked(_ring.Read32(XenStoreWire.ResponseProducer) - consumer);
            if (available > XenStoreWire.RingSize)
            {
                Break("its response index is out of range"u8);
                return false;
            }

            if (available == 0)
            {
                return false;
            }

            Interlocked.MemoryBarrier();
            TakeBytes(consumer, Math.Min((int)available, wanted - _received));
            if (_received == XenStoreWire.HeaderSize && PayloadLength > XenStoreWire.PayloadMax)
            {
                Break("its message is too long"u8);
            }
        }

        return false;
    }

    private void TakeBytes(uint consumer, int count)
    {
        for (int i = 0; i < count; i++)
        {
            uint place = unchecked(consumer + (uint)i) % XenStoreWire.RingSize;
            _message[_received++] = _ring.Read8(XenStoreWire.ResponseRing + place);
        }

        Interlocked.MemoryBarrier();
        _ring.Write32(XenStoreWire.ResponseConsumer, unchecked(consumer + (uint)count));
        _events.Notify(_port);
    }

    private uint PayloadLength =>
        BinaryPrimitives.ReadUInt32LittleEndian(new ReadOnlySpan<byte>(_message, XenStoreWire.HeaderLength, sizeof(uint)));

    private int Wanted => XenStoreWire.HeaderSize + (_received < XenStoreWire.HeaderSize ? 0 : (int)PayloadLength);

    private void Dispatch()
    {
        ReadOnlySpan<byte> header = new(_message, 0, XenStoreWire.HeaderSize);
        XenStoreMessage type = (XenStoreMessage)BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint request = BinaryPrimitives.ReadUInt32LittleEndian(header.Slice(XenStoreWire.HeaderRequest));
        ReadOnlySpan<byte> payload = new(_message, XenStoreWire.HeaderSize, (int)PayloadLength);
        _received = 0;
        if (type == XenStoreMessage.WatchEvent)
        {
            DispatchEvent(payload);
            return;
        }

        StoreReply? reply = TakeReply(request);
        if (reply == null)
        {
            Break("it answers what was not asked"u8);
        }
        else if (type == XenStoreMessage.Error)
        {
            reply.Completed(StoreErrorNames.Parse(payload), default);
        }
        else
        {
            reply.Completed(XenStoreError.None, payload);
        }
    }

    /// <summary>The payload of an event is the path and the token, each with a terminating zero.</summary>
    private void DispatchEvent(ReadOnlySpan<byte> payload)
    {
        int path = payload.IndexOf((byte)0);
        ReadOnlySpan<byte> token = path < 0 ? default : payload.Slice(path + 1);
        int end = token.IndexOf((byte)0);
        if (end < 0 || !DecimalNumber.TryParse(token.Slice(0, end), MaximumWatches - 1, out ulong index))
        {
            Break("an event makes no sense"u8);
            return;
        }

        // An event of a watch that was ended meanwhile may still come.
        StoreWatch? watch = Volatile.Read(ref _watches[(int)index]);
        if (watch != null)
        {
            watch.Fired();
        }
    }

    private StoreReply? TakeReply(uint request)
    {
        _lock.Acquire();
        StoreReply? found = null;
        int slot = (int)(unchecked(request - 1) % MaximumRequests);
        for (int i = 0; i < MaximumRequests && found == null; i++, slot = (slot + 1) % MaximumRequests)
        {
            if (_slots[slot].IsUsed && _slots[slot].Request == request)
            {
                found = TakeSlot(slot);
            }
        }

        _lock.Release();
        return found;
    }

    private StoreReply? TakeSlot(int slot)
    {
        StoreReply? reply = _replies[slot];
        _replies[slot] = null;
        _slots[slot] = default;
        _used--;
        return reply;
    }

    /// <summary>Ends all requests that are under way.</summary>
    private void FailAll(XenStoreError error)
    {
        // A request that is made in an answer is newer than the last one here and must not be failed with the others.
        uint last = _lastRequest;
        for (int slot = 0; slot < MaximumRequests; slot++)
        {
            _lock.Acquire();
            bool isOld = _slots[slot].IsUsed && unchecked((int)(_slots[slot].Request - last)) <= 0;
            StoreReply? reply = isOld ? TakeSlot(slot) : null;
            _lock.Release();
            if (reply != null)
            {
                reply.Completed(error, default);
            }
        }
    }

    private void Break(ReadOnlySpan<byte> reason)
    {
        _lock.Acquire();
        bool isNew = !_isBroken;
        Volatile.Write(ref _isBroken, true);
        _outputStart = _outputEnd;
        _received = 0;
        _lock.Release();
        if (isNew)
        {
            Log.Line("xen: L0's xenstore cannot be used any more: "u8).Text(reason).End();
            FailAll(XenStoreError.InputOutput);
        }
    }

    private sealed class NoReply : StoreReply
    {
        public override void Completed(XenStoreError error, ReadOnlySpan<byte> value)
        {
        }
    }
}
