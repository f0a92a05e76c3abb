using System;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen.Net;

/// <summary>What came out of a receive ring.</summary>
internal struct ReceivedPacket
{
    /// <summary>Buffers that came back, the packet's in order.</summary>
    public int BufferCount;

    /// <summary>Offset of the packet in the first buffer.</summary>
    public uint Offset;

    /// <summary>Bytes of the packet; 0 when the buffers came back without one.</summary>
    public uint Length;

    /// <summary>Checked offload state.</summary>
    public PacketOffload Offload;

    /// <summary>Why there is no packet; None when the buffers came back for another reason.</summary>
    public FrontendFault Fault;

    /// <summary>What is logged with the fault.</summary>
    public ulong FaultDetail;
}

/// <summary>
/// A receive ring (io/netif.h): pages that the backend copies packets into. Responses stay in the places of their requests, so that a
/// buffer is known by its place; the id is checked against it.
/// </summary>
internal sealed class NetReceiveQueue
{
    /// <summary>Bytes of a buffer.</summary>
    public const uint BufferSize = Cpu.PageSize;

    /// <summary>The most buffers of a packet: 64 KiB in full pages are 17; backends that do not fill pages up take a few more.</summary>
    public const int MaximumBuffers = 20;

    private const int MaximumExtras = 4;
    private const int Entries = 256;

    private readonly GrantAccess _grants;
    private readonly FrontendHealth _health;
    private readonly int _number;
    private readonly ulong _memory;
    private readonly FrontendRing _ring;
    private readonly uint _ringReference;
    private readonly uint[] _references = new uint[Entries];

    // By place in the ring.
    private readonly uint[] _tags = new uint[Entries];
    private readonly ulong[] _addresses = new ulong[Entries];
    private readonly bool[] _isSupplied = new bool[Entries];
    private readonly LocalCompletions _returned = new(2 * Entries);
    private SpinLock _lock = new(LockClass.Driver);
    private ushort _domain;
    private uint _incomplete;
    private int _lingering;
    private bool _isConnected;
    private bool _mustPublish;

    private NetReceiveQueue(GrantAccess grants, FrontendHealth health, int number, ulong memory, uint ringReference)
    {
        _grants = grants;
        _health = health;
        _number = number;
        _memory = memory;
        _ringReference = ringReference;
        _ring = new FrontendRing(memory, Netif.ReceiveEntrySize);
        _ring.Clear(Cpu.PageSize);
    }

    /// <summary>Bytes of memory that a queue needs: the ring's page.</summary>
    public const ulong MemorySize = Cpu.PageSize;

    /// <summary>Buffers that fit.</summary>
    public const int Capacity = Entries;

    /// <summary>A queue that is not connected; null when grant references are out.</summary>
    public static NetReceiveQueue? Create(GrantAccess grants, FrontendHealth health, int number, ulong memory)
    {
        if (!grants.TryReserve(out uint ringReference))
        {
            return null;
        }

        NetReceiveQueue queue = new(grants, health, number, memory, ringReference);
        int count = 0;
        while (count < Entries && grants.TryReserve(out queue._references[count]))
        {
            count++;
        }

        if (count == Entries)
        {
            return queue;
        }

        while (count > 0)
        {
            grants.Release(queue._references[--count]);
        }

        grants.Release(ringReference);
        return null;
    }

    /// <summary>Grant of the ring's page.</summary>
    public uint RingReference => _ringReference;

    /// <summary>Whether there are responses that were not taken. Needs no lock: a hint.</summary>
    public bool HasResponses => _ring.HasResponses;

    /// <summary>Prepares the ring for a backend; buffers of the last one come back.</summary>
    /// <returns>False when the last backend does not let go of a page.</returns>
    public bool TryPrepare(ushort domain)
    {
        _lock.Acquire();
        _isConnected = false;
        ReturnAll();
        bool isFree = _lingering == 0 && _grants.TryRevoke(_ringReference);
        if (isFree)
        {
            _domain = domain;
            _incomplete = 0;
            _ring.Clear(Cpu.PageSize);
            _grants.Grant(_ringReference, domain, _memory >> Cpu.PageShift, false);
            // Buffers can be put in before the backend looks.
            _isConnected = true;
            _ring.TryRequestEvent();
        }

        _lock.Release();
        return isFree;
    }

    /// <summary>Lets nothing more in or out; buffers are kept.</summary>
    public void Disconnect()
    {
        _lock.Acquire();
        _isConnected = false;
        _lock.Release();
    }

    /// <summary>Gives the references back; only for a queue that was never used.</summary>
    public void Free()
    {
        foreach (uint reference in _references)
        {
            _grants.Release(reference);
        }

        _grants.Release(_ringReference);
    }

    /// <summary>The device is closed: buffers come back. What the backend still uses is given back when it lets go.</summary>
    public void GiveUp()
    {
        _lock.Acquire();
        _isConnected = false;
        ReturnAll();
        _lock.Release();
    }

    /// <summary>Gives the backend a buffer of a whole page.</summary>
    public bool TrySupply(ulong address, uint tag)
    {
        _lock.Acquire();
        bool hasRoom = _isConnected && _returned.Count < Entries && _ring.FreeEntries != 0 && !_isSupplied[_ring.NextRequest];
        if (hasRoom)
        {
            Check.That((address & (Cpu.PageSize - 1)) == 0);
            Put(address, tag);
        }

        _lock.Release();
        return hasRoom;
    }

    /// <summary>Shows the backend the new buffers; tells whether it is to be notified.</summary>
    public bool Publish(out bool mustServe)
    {
        _lock.Acquire();
        bool mustNotify = _isConnected && _ring.Publish();
        _mustPublish = false;
        mustServe = _returned.Count != 0;
        _lock.Release();
        return mustNotify;
    }

    /// <summary>Whether buffers were put back by the queue itself, so that <see cref="Publish"/> is due.</summary>
    public bool MustPublish => _mustPublish;

    /// <summary>Takes the next packet, or buffers that come back without one.</summary>
    /// <param name="tags">Gets the buffers' tags; at least <see cref="MaximumBuffers"/>.</param>
    /// <param name="packet">What came.</param>
    /// <returns>False when there is nothing.</returns>
    public bool TryTake(Span<uint> tags, out ReceivedPacket packet)
    {
        packet = default;
        _lock.Acquire();
        if (_returned.TryTake(out tags[0], out _))
        {
            packet.BufferCount = 1;
        }
        else if (_isConnected)
        {
            TakePacket(tags, ref packet);
        }

        bool found = packet.BufferCount != 0;
        _lock.Release();
        return found;
    }

    /// <summary>Asks for a notification of the next packet; false when there is one already.</summary>
    public bool TryRequestEvent()
    {
        _lock.Acquire();
        bool isIdle = _returned.Count == 0 && (!_isConnected || _ring.TryRequestEvent(_incomplete));
        _lock.Release();
        return isIdle;
    }

    private void Put(ulong address, uint tag)
    {
        uint place = _ring.NextRequest;
        _tags[place] = tag;
        _addresses[place] = address;
        _isSupplied[place] = true;
        _grants.Grant(_references[place], _domain, address >> Cpu.PageShift, false);
        ref NetifReceiveRequest request = ref PhysicalMemory.At<NetifReceiveRequest>(_ring.PutRequest());
        request.Id = (ushort)place;
        request.Padding = 0;
        request.Reference = _references[place];
    }

    // One packet, if all of it is there.
    private void TakePacket(Span<uint> tags, ref ReceivedPacket packet)
    {
        if (!_ring.TryCountResponses(out uint count))
        {
            Break(FrontendFault.ResponseIndexJump, count);
            return;
        }

        _incomplete = 0;
        Span<Piece> pieces = stackalloc Piece[MaximumBuffers];
        NetifExtraInfo large = default;
        if (!TryMeasure(count, pieces, out int buffers, out int extras, ref large, ref packet))
        {
            return;
        }

        for (int i = 0; i < buffers + extras; i++)
        {
            uint place = _ring.NextResponse;
            if (!_grants.TryRevoke(_references[place]))
            {
                Break(FrontendFault.PageStillInUse, place);
                TakeBack(tags, i, extras, ref packet);
                return;
            }

            _ring.TakeResponse();
            _isSupplied[place] = false;
            if (i == 0 || i > extras)
            {
                int buffer = i == 0 ? 0 : i - extras;
                tags[buffer] = _tags[place];
                pieces[buffer].Address = _addresses[place];
                packet.BufferCount = buffer + 1;
            }
            else
            {
                Reuse(_addresses[place], _tags[place]);
            }
        }

        if (packet.Fault == FrontendFault.None)
        {
            Finish(pieces.Slice(0, buffers), tags, in large, ref packet);
        }

        if (packet.Fault != FrontendFault.None)
        {
            packet.Length = 0;
        }
    }

    // The backend uses a page of the packet: the buffers taken so far come back, the others when it lets go.
    private void TakeBack(ReadOnlySpan<uint> tags, int taken, int extras, ref ReceivedPacket packet)
    {
        int buffers = taken == 0 ? 0 : Math.Max(1, taken - extras);
        for (int i = 0; i < buffers; i++)
        {
            _returned.Add(tags[i]);
        }

        packet = default;
        ReturnAll();
    }

    // Looks at the responses of a packet without taking them. False when they are not all there, or cannot be a packet's.
    private bool TryMeasure(
        uint count, Span<Piece> pieces, out int buffers, out int extras, ref NetifExtraInfo large, ref ReceivedPacket packet)
    {
        buffers = 0;
        extras = 0;
        NetifReceiveFlags flags;
        do
        {
            uint ahead = (uint)(buffers + extras);
            if (ahead == count)
            {
                _incomplete = count;
                return false;
            }

            if (buffers == MaximumBuffers)
            {
                Break(FrontendFault.EndlessPacket, count);
                return false;
            }

            NetifReceiveResponse response = PhysicalMemory.Read<NetifReceiveResponse>(_ring.PeekResponse(ahead));
            flags = response.Flags;
            if (response.Id != (uint)(_ring.NextResponse + ahead) % Entries)
            {
                Break(FrontendFault.IdNotInFlight, response.Id);
                return false;
            }

            Examine(in response, ref pieces[buffers], ref packet);
            if (buffers++ == 0)
            {
                packet.Offload.NeedsChecksum = (flags & NetifReceiveFlags.ChecksumBlank) != 0;
                packet.Offload.ChecksumIsValid = (flags & NetifReceiveFlags.DataValidated) != 0;
                if ((flags & NetifReceiveFlags.ExtraInfo) != 0 && !TryMeasureExtras(count, out extras, ref large, ref packet))
                {
                    return false;
                }
            }
        }
        while ((flags & NetifReceiveFlags.MoreData) != 0);

        return true;
    }

    private bool TryMeasureExtras(uint count, out int extras, ref NetifExtraInfo large, ref ReceivedPacket packet)
    {
        NetifExtraInfo extra;
        extras = 0;
        do
        {
            if (1 + extras == count)
            {
                _incomplete = count;
                return false;
            }

            if (extras == MaximumExtras)
            {
                Break(FrontendFault.EndlessPacket, count);
                return false;
            }

            extra = PhysicalMemory.Read<NetifExtraInfo>(_ring.PeekResponse((uint)++extras));
            if (extra.Type == 0 || extra.Type >= Netif.ExtraMaximum)
            {
                packet.Fault = FrontendFault.BadExtraInfo;
                packet.FaultDetail = extra.Type;
            }
            else if (extra.Type == Netif.ExtraGso)
            {
                large = extra;
            }
        }
        while ((extra.Flags & Netif.ExtraMore) != 0);

        return true;
    }

    // A negative status loses the packet, as when the backend could not copy.
    private static void Examine(in NetifReceiveResponse response, ref Piece piece, ref ReceivedPacket packet)
    {
        piece.Offset = response.Offset;
        piece.Length = (ushort)Math.Max(response.Status, (short)0);
        if (response.Status < 0)
        {
            packet.Fault = packet.Fault == FrontendFault.None ? FrontendFault.NotCopied : packet.Fault;
            packet.FaultDetail = (ushort)response.Status;
        }
        else if ((uint)piece.Offset + piece.Length > BufferSize)
        {
            packet.Fault = FrontendFault.WrongPlace;
            packet.FaultDetail = (uint)piece.Offset << 16 | piece.Length;
        }

        packet.Length += piece.Length;
    }

    // The packet is L1's alone now.
    private void Finish(Span<Piece> pieces, Span<uint> tags, in NetifExtraInfo large, ref ReceivedPacket packet)
    {
        packet.BufferCount = Compact(pieces, tags);
        packet.Offset = pieces[0].Offset;
        Span<byte> start = PhysicalMemory.Bytes(
            pieces[0].Address + packet.Offset, (int)Math.Min(Math.Min(packet.Length, BufferSize - packet.Offset), NetWire.HeaderBytes));
        bool isBlank = packet.Offload.NeedsChecksum;
        bool isValid = packet.Offload.ChecksumIsValid;
        if (packet.Length < PacketHeaders.EthernetSize || start.Length < PacketHeaders.EthernetSize
            || !NetifOffload.TryFromWire(isBlank, isValid, in large, start, PacketHeaders.Parse(start), packet.Length, out packet.Offload))
        {
            packet.Fault = FrontendFault.BadPacket;
            packet.FaultDetail = packet.Length;
        }
    }

    // Clients expect every buffer but the last full, and the packet's start at an offset in the first only. Backends of today do that; for
    // others the bytes move up.
    private int Compact(Span<Piece> pieces, Span<uint> tags)
    {
        int last = 0;
        uint end = (uint)pieces[0].Offset + pieces[0].Length;
        for (int i = 1; i < pieces.Length; i++)
        {
            uint length = pieces[i].Length;
            if (end == BufferSize && pieces[i].Offset == 0 && length != 0)
            {
                Swap(pieces, tags, ++last, i);
                end = length;
                continue;
            }

            uint done = 0;
            ulong source = pieces[i].Address + pieces[i].Offset;
            while (done < length)
            {
                if (end == BufferSize)
                {
                    // A buffer that was emptied, or the piece's own, in which it moves to the beginning.
                    last++;
                    end = 0;
                }

                uint part = Math.Min(length - done, BufferSize - end);
                PhysicalMemory.Bytes(source + done, (int)part).CopyTo(PhysicalMemory.Bytes(pieces[last].Address + end, (int)part));
                done += part;
                end += part;
            }
        }

        for (int i = last + 1; i < pieces.Length; i++)
        {
            Reuse(pieces[i].Address, tags[i]);
        }

        return last + 1;
    }

    private static void Swap(Span<Piece> pieces, Span<uint> tags, int a, int b)
    {
        (pieces[a], pieces[b]) = (pieces[b], pieces[a]);
        (tags[a], tags[b]) = (tags[b], tags[a]);
    }

    // A buffer that held no data goes back into the ring.
    private void Reuse(ulong address, uint tag)
    {
        Put(address, tag);
        _mustPublish = true;
    }

    private void ReturnAll()
    {
        _lingering = 0;
        for (int place = 0; place < Entries; place++)
        {
            if (!_isSupplied[place])
            {
                continue;
            }

            if (_grants.TryRevoke(_references[place]))
            {
                _isSupplied[place] = false;
                _returned.Add(_tags[place]);
            }
            else
            {
                _lingering++;
            }
        }
    }

    private void Break(FrontendFault fault, ulong detail)
    {
        _isConnected = false;
        _health.Break(fault, _number, detail);
    }

    /// <summary>What one response says of a packet.</summary>
    private struct Piece
    {
        public ulong Address;
        public ushort Offset;
        public ushort Length;
    }
}
