using System;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen.Net;

/// <summary>
/// A transmit ring (io/netif.h): each piece of a packet is granted to the backend, read-only, until its response. A packet's memory is its
/// sender's again when the responses to all its pieces have come.
/// </summary>
internal sealed class NetTransmitQueue
{
    /// <summary>Pieces of a packet that are accepted: one more than every backend takes, since two that fit one page are copied together.</summary>
    public const int MaximumPieces = Netif.MinimumSlots + 1;

    private const int None = -1;
    private const int Entries = 256;
    private const int BouncePages = 8;

    private readonly GrantAccess _grants;
    private readonly FrontendHealth _health;
    private readonly int _number;
    private readonly ulong _memory;
    private readonly FrontendRing _ring;
    private readonly uint[] _references = new uint[Entries];
    private readonly uint _ringReference;

    // By id of a request: the packet it belongs to, and the next free id.
    private readonly short[] _packetOf = new short[Entries];
    private readonly short[] _nextFree = new short[Entries];

    // Packets.
    private readonly uint[] _tags = new uint[Entries];
    private readonly byte[] _owners = new byte[Entries];
    private readonly short[] _piecesLeft = new short[Entries];
    private readonly short[] _bounceOf = new short[Entries];
    private readonly short[] _freePackets = new short[Entries];
    private readonly short[] _freeBounces = new short[BouncePages];
    private readonly LocalCompletions _ended = new(2 * Entries);
    private SpinLock _lock = new(LockClass.Driver);
    private int _freeId = None;
    private int _freeIdCount;
    private int _freePacketCount;
    private int _freeBounceCount;
    private int _extras;
    private int _lingering;
    private ushort _domain;
    private bool _isConnected;
    private bool _hasRefused;
    private bool _takesPieces = true;

    private NetTransmitQueue(GrantAccess grants, FrontendHealth health, int number, ulong memory, uint ringReference)
    {
        _grants = grants;
        _health = health;
        _number = number;
        _memory = memory;
        _ringReference = ringReference;
        _ring = new FrontendRing(memory, Netif.TransmitEntrySize);
    }

    /// <summary>Bytes of memory that a queue needs: the ring's page, then those where pieces are copied together.</summary>
    public const ulong MemorySize = (1 + BouncePages) * Cpu.PageSize;

    /// <summary>A queue that is not connected; null when grant references are out.</summary>
    public static NetTransmitQueue? Create(GrantAccess grants, FrontendHealth health, int number, ulong memory)
    {
        if (!grants.TryReserve(out uint ringReference))
        {
            return null;
        }

        NetTransmitQueue queue = new(grants, health, number, memory, ringReference);
        while (queue._freeIdCount < Entries && grants.TryReserve(out queue._references[queue._freeIdCount]))
        {
            queue._freePackets[queue._freePacketCount++] = (short)queue._freeIdCount;
            queue.FreeId(queue._freeIdCount);
        }

        for (short i = 0; i < BouncePages; i++)
        {
            queue._freeBounces[queue._freeBounceCount++] = i;
        }

        if (queue._freeIdCount == Entries)
        {
            return queue;
        }

        while (queue._freeIdCount > 0)
        {
            grants.Release(queue._references[--queue._freeIdCount]);
        }

        grants.Release(ringReference);
        return null;
    }

    /// <summary>Grant of the ring's page.</summary>
    public uint RingReference => _ringReference;

    /// <summary>Packets that are on their way.</summary>
    public int InFlight => Entries - _freePacketCount;

    /// <summary>Whether there are responses that were not taken. Needs no lock: a hint.</summary>
    public bool HasResponses => _ring.HasResponses;

    /// <summary>Prepares the ring for a backend.</summary>
    /// <returns>False when the last backend does not let go of a page.</returns>
    public bool TryPrepare(ushort domain)
    {
        _lock.Acquire();
        _isConnected = false;
        DropAll();
        bool isFree = _lingering == 0 && _grants.TryRevoke(_ringReference);
        if (isFree)
        {
            _domain = domain;
            _ring.Clear(Cpu.PageSize);
            _extras = 0;
            _grants.Grant(_ringReference, domain, _memory >> Cpu.PageShift, false);
        }

        _lock.Release();
        return isFree;
    }

    /// <summary>Lets packets in.</summary>
    /// <param name="takesPieces">Whether a packet may have more than one piece (feature-sg).</param>
    public void Connect(bool takesPieces = true)
    {
        _lock.Acquire();
        _takesPieces = takesPieces;
        _isConnected = true;
        _ring.TryRequestEvent();
        _lock.Release();
    }

    /// <summary>Lets nothing more in or out; what is in flight is kept.</summary>
    public void Disconnect()
    {
        _lock.Acquire();
        _isConnected = false;
        _lock.Release();
    }

    /// <summary>Drops everything: the device is closed. What the backend still uses is given back when it lets go.</summary>
    public void GiveUp()
    {
        _lock.Acquire();
        _isConnected = false;
        DropAll();
        _lock.Release();
    }

    /// <summary>Puts a packet that was checked into the ring.</summary>
    /// <param name="flags">Of the first slot.</param>
    /// <param name="extra">Of type 0 for none.</param>
    /// <param name="segments">The packet, which <see cref="Fits"/>.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="tag">The sender's name for it.</param>
    /// <param name="owner">The sender's queue.</param>
    /// <returns>False when there is no room, which is remembered.</returns>
    public bool TrySend(
        NetifTransmitFlags flags, in NetifExtraInfo extra, ReadOnlySpan<DmaSegment> segments, uint length, uint tag, int owner = 0)
    {
        _lock.Acquire();
        bool hasRoom = _isConnected && _freePacketCount != 0 && HasLocalRoom && TryPut(flags, in extra, segments, length, tag, owner);
        _hasRefused |= !hasRoom;
        _lock.Release();
        return hasRoom;
    }

    /// <summary>Drops a packet: it is reported as sent when the queue is served.</summary>
    public bool TryDrop(uint tag, int owner = 0)
    {
        _lock.Acquire();
        bool hasRoom = HasLocalRoom;
        _hasRefused |= !hasRoom;
        if (hasRoom)
        {
            _ended.Add(tag, (byte)owner);
        }

        _lock.Release();
        return hasRoom;
    }

    /// <summary>Shows the backend the new packets; tells whether it is to be notified.</summary>
    public bool Publish(out bool mustServe)
    {
        _lock.Acquire();
        bool mustNotify = _isConnected && _ring.Publish();
        mustServe = _ended.Count != 0;
        _lock.Release();
        return mustNotify;
    }

    /// <summary>Takes a packet whose memory is no longer used.</summary>
    public bool TryTakeSent(out uint tag) => TryTakeSent(out tag, out _);

    /// <summary>Takes a packet whose memory is no longer used, and the queue of its sender.</summary>
    public bool TryTakeSent(out uint tag, out int owner)
    {
        _lock.Acquire();
        while (_ended.Count == 0 && TryTakeResponse())
        {
        }

        bool found = _ended.TryTake(out tag, out byte number);
        owner = number;
        _lock.Release();
        return found;
    }

    /// <summary>
    /// Asks for a notification when the next packet has left; false when one has already. Not later, which would save notifications: a backend lets go of
    /// packets a while after it has sent them, and TCP sends no more than a few that have not left (Linux, tcp_small_queue_check).
    /// </summary>
    public bool TryRequestEvent()
    {
        _lock.Acquire();
        bool isIdle = _ended.Count == 0 && (!_isConnected || _ring.TryRequestEvent());
        _lock.Release();
        return isIdle;
    }

    /// <summary>Whether a packet was refused since this was last asked, while there is room now.</summary>
    public bool TakeRoomAvailable()
    {
        _lock.Acquire();
        bool hasRoom = _hasRefused && HasLocalRoom && _isConnected && _ring.FreeEntries > 0 && _freePacketCount != 0;
        _hasRefused &= !hasRoom;
        _lock.Release();
        return hasRoom;
    }

    /// <summary>Packets may be tried again, to be dropped: the device is gone.</summary>
    public bool TakeRefused()
    {
        _lock.Acquire();
        bool hasRefused = _hasRefused && HasLocalRoom;
        _hasRefused &= !hasRefused;
        _lock.Release();
        return hasRefused;
    }

    // What is in flight may have to be dropped: room for it is kept.
    private bool HasLocalRoom => _ended.Count + InFlight < _ended.Capacity;

    private bool TryPut(
        NetifTransmitFlags flags, in NetifExtraInfo extra, ReadOnlySpan<DmaSegment> segments, uint length, uint tag, int owner)
    {
        bool hasExtra = extra.Type != 0;
        int pieces = CountPieces(segments);
        int copied = CountCopied(segments, pieces, _takesPieces);
        bool mustCopy = copied != 0;
        int slots = copied == segments.Length ? 1 : pieces - (mustCopy ? 1 : 0);
        if (slots + (hasExtra ? 1 : 0) > _ring.FreeEntries || slots > _freeIdCount || (mustCopy && _freeBounceCount == 0))
        {
            return false;
        }

        short packet = _freePackets[--_freePacketCount];
        _tags[packet] = tag;
        _owners[packet] = (byte)owner;
        _piecesLeft[packet] = (short)slots;
        _bounceOf[packet] = None;
        if (hasExtra)
        {
            flags |= NetifTransmitFlags.ExtraInfo;
        }

        // The first slot names the whole packet's length (io/netif.h, "Guest transmit").
        uint size = length;
        int first = 0;
        if (mustCopy)
        {
            ulong together = CopyTogether(packet, segments.Slice(0, copied));
            slots--;
            PutPiece(packet, together, size, flags | (slots != 0 ? NetifTransmitFlags.MoreData : NetifTransmitFlags.None));
            PutExtra(in extra, hasExtra);
            flags = NetifTransmitFlags.None;
            size = 0;
            first = copied;
        }

        for (int i = first; i < segments.Length; i++)
        {
            ulong address = segments[i].Address;
            uint left = segments[i].Length;
            while (left != 0)
            {
                uint part = Math.Min(left, Cpu.PageSize - ((uint)address & (Cpu.PageSize - 1)));
                slots--;
                PutPiece(packet, address, size == 0 ? part : size, flags | (slots != 0 ? NetifTransmitFlags.MoreData : NetifTransmitFlags.None));
                PutExtra(in extra, hasExtra && size != 0);
                flags = NetifTransmitFlags.None;
                size = 0;
                address += part;
                left -= part;
            }
        }

        return true;
    }

    private void PutPiece(short packet, ulong address, uint size, NetifTransmitFlags flags)
    {
        int id = _freeId;
        _freeId = _nextFree[id];
        _freeIdCount--;
        _packetOf[id] = packet;
        _grants.Grant(_references[id], _domain, address >> Cpu.PageShift, true);
        ref NetifTransmitRequest request = ref PhysicalMemory.At<NetifTransmitRequest>(_ring.PutRequest());
        request.Reference = _references[id];
        request.Offset = (ushort)(address & (Cpu.PageSize - 1));
        request.Flags = flags;
        request.Id = (ushort)id;
        request.Size = (ushort)size;
    }

    private void PutExtra(in NetifExtraInfo extra, bool isWanted)
    {
        if (isWanted)
        {
            PhysicalMemory.At<NetifExtraInfo>(_ring.PutRequest()) = extra;
            _extras++;
        }
    }

    private ulong CopyTogether(short packet, ReadOnlySpan<DmaSegment> segments)
    {
        short bounce = _freeBounces[--_freeBounceCount];
        _bounceOf[packet] = bounce;
        ulong address = _memory + (ulong)(1 + bounce) * Cpu.PageSize;
        uint length = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            int count = (int)segments[i].Length;
            PhysicalMemory.Bytes(segments[i].Address, count).CopyTo(PhysicalMemory.Bytes(address + length, count));
            length += segments[i].Length;
        }

        return address;
    }

    /// <summary>
    /// Segments at the beginning that go into one page together: the packet's private beginning and what lies next to it in the sender's memory
    /// where a slot would be too many (together they were one slot of a guest), all where the backend takes one slot.
    /// </summary>
    private static int CountCopied(ReadOnlySpan<DmaSegment> segments, int pieces, bool takesPieces) =>
        pieces == 1 ? 0 : !takesPieces ? segments.Length : pieces > Netif.MinimumSlots ? 2 : 0;

    /// <summary>Slots that segments take: each page of each.</summary>
    private static int CountPieces(ReadOnlySpan<DmaSegment> segments)
    {
        int pieces = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            uint within = (uint)segments[i].Address & (Cpu.PageSize - 1);
            pieces += (int)((within + segments[i].Length + Cpu.PageSize - 1) >> Cpu.PageShift);
        }

        return pieces;
    }

    /// <summary>Whether a packet's segments can be put into slots that every backend takes.</summary>
    /// <param name="segments">The packet.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="takesPieces">Whether the backend takes packets of more than one piece.</param>
    public static bool Fits(ReadOnlySpan<DmaSegment> segments, uint length, bool takesPieces)
    {
        if (!takesPieces)
        {
            return length <= Cpu.PageSize;
        }

        int pieces = CountPieces(segments);
        return pieces <= Netif.MinimumSlots
            || (pieces == MaximumPieces && segments.Length > 1 && segments[0].Length + segments[1].Length <= Cpu.PageSize
                && CountPieces(segments.Slice(0, 2)) == 2);
    }

    private bool TryTakeResponse()
    {
        if (!_isConnected)
        {
            return false;
        }

        if (!_ring.TryCountResponses(out uint count))
        {
            return Break(FrontendFault.ResponseIndexJump, count);
        }

        if (count == 0)
        {
            return false;
        }

        NetifTransmitResponse response = PhysicalMemory.Read<NetifTransmitResponse>(_ring.TakeResponse());
        if (response.Status == Netif.Null)
        {
            // An extra-info slot's; it has no id.
            return --_extras >= 0 || Break(FrontendFault.IdNotInFlight, response.Id);
        }

        // Dropped, an error, or sent: networks lose packets.
        int id = response.Id;
        if (id >= Entries || _packetOf[id] == None)
        {
            return Break(FrontendFault.IdNotInFlight, response.Id);
        }

        return TryEnd(id) || Break(FrontendFault.PageStillInUse, response.Id);
    }

    // False when the backend still uses the page.
    private bool TryEnd(int id)
    {
        if (!_grants.TryRevoke(_references[id]))
        {
            return false;
        }

        short packet = _packetOf[id];
        FreeId(id);
        if (--_piecesLeft[packet] == 0)
        {
            if (_bounceOf[packet] != None)
            {
                _freeBounces[_freeBounceCount++] = _bounceOf[packet];
            }

            _freePackets[_freePacketCount++] = packet;
            _ended.Add(_tags[packet], _owners[packet]);
        }

        return true;
    }

    private void DropAll()
    {
        _lingering = 0;
        for (int id = 0; id < Entries; id++)
        {
            if (_packetOf[id] != None && !TryEnd(id))
            {
                _lingering++;
            }
        }
    }

    private void FreeId(int id)
    {
        _packetOf[id] = None;
        _nextFree[id] = (short)_freeId;
        _freeId = id;
        _freeIdCount++;
    }

    private bool Break(FrontendFault fault, ulong detail)
    {
        _isConnected = false;
        _health.Break(fault, _number, detail);
        return false;
    }
}
