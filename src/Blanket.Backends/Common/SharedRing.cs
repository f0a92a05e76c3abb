using System;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// The backend's side of a shared ring (io/ring.h) over frames that are pinned while it is attached. The frontend may change every
/// byte at any time: indexes are read once and checked, entries are copied once.
/// </summary>
internal sealed class SharedRing
{
    private readonly ulong[] _frames;
    private int _entrySize;
    private uint _mask;
    private uint _requestConsumer;
    private uint _responseProducer;
    private uint _publishedResponses;

    /// <summary>A ring of at most <paramref name="maximumFrames"/> frames, attached to none.</summary>
    internal SharedRing(int maximumFrames) => _frames = new ulong[maximumFrames];

    /// <summary>Entries of the attached ring.</summary>
    internal int Entries => (int)_mask + 1;

    /// <summary>Requests taken and not yet answered.</summary>
    internal uint Outstanding => unchecked(_requestConsumer - _responseProducer);

    /// <summary>
    /// Starts on a ring that the frontend has set up. It may hold requests already; answered ones are told by rsp_prod,
    /// which is 0 in a new ring. False when its indexes cannot be.
    /// </summary>
    internal bool TryAttach(ReadOnlySpan<ulong> frames, int entrySize)
    {
        frames.CopyTo(_frames);
        _entrySize = entrySize;
        _mask = (uint)SharedRingLayout.EntryCount(frames.Length * Cpu.PageSize, entrySize) - 1;
        _responseProducer = ReadIndex(SharedRingLayout.ResponseProducer);
        _requestConsumer = _responseProducer;
        _publishedResponses = _responseProducer;
        return TryCountRequests(out _);
    }

    /// <summary>Requests that the frontend has put in and that have not been taken. False when the index is impossible: the ring is broken for good.</summary>
    internal bool TryCountRequests(out uint count)
    {
        uint producer = ReadIndex(SharedRingLayout.RequestProducer);
        count = unchecked(producer - _requestConsumer);
        // RING_REQUEST_PROD_OVERFLOW: no more than the ring holds can be unanswered.
        return unchecked(producer - _responseProducer) <= _mask + 1 && count <= _mask + 1;
    }

    /// <summary>Copies the next request and takes it. Only as many as <see cref="TryCountRequests"/> counted.</summary>
    internal void TakeRequest(Span<byte> entry) => ReadEntry(unchecked(_requestConsumer++), entry);

    /// <summary>Copies a request that lies <paramref name="ahead"/> behind the next one, without taking it.</summary>
    internal void PeekRequest(uint ahead, Span<byte> entry) => ReadEntry(unchecked(_requestConsumer + ahead), entry);

    /// <summary>Takes requests that have been copied by <see cref="PeekRequest"/>.</summary>
    internal void SkipRequests(uint count) => _requestConsumer = unchecked(_requestConsumer + count);

    /// <summary>Puts in the next response; the frontend sees it after <see cref="PublishResponses"/>.</summary>
    internal void PutResponse(ReadOnlySpan<byte> response)
    {
        Check.That(Outstanding != 0);
        WriteBytes(EntryOffset(unchecked(_responseProducer++)), response);
    }

    /// <summary>Shows the frontend all responses put in. True when it asked to be notified of any of them.</summary>
    internal bool PublishResponses()
    {
        uint old = _publishedResponses;
        if (old == _responseProducer)
        {
            return false;
        }

        _publishedResponses = _responseProducer;
        WriteIndex(SharedRingLayout.ResponseProducer, _responseProducer);
        // The frontend sees the responses before its rsp_event is looked at.
        Interlocked.MemoryBarrier();
        uint wanted = ReadIndex(SharedRingLayout.ResponseEvent);
        return unchecked(_responseProducer - wanted) < unchecked(_responseProducer - old);
    }

    /// <summary>Asks for a notification of the next request, then tells whether one has come meanwhile (RING_FINAL_CHECK_FOR_REQUESTS).</summary>
    internal bool ArmRequestEvent() => ArmRequestEvent(1);

    /// <summary>Asks for a notification when so many requests have not been taken, then tells whether there are as many already.</summary>
    internal bool ArmRequestEvent(uint count)
    {
        WriteIndex(SharedRingLayout.RequestEvent, unchecked(_requestConsumer + count));
        Interlocked.MemoryBarrier();
        return unchecked(ReadIndex(SharedRingLayout.RequestProducer) - _requestConsumer) >= count;
    }

    private uint ReadIndex(int offset) => PhysicalMemory.Read<uint>((_frames[0] << Cpu.PageShift) + (uint)offset);

    private void WriteIndex(int offset, uint value) => PhysicalMemory.Write((_frames[0] << Cpu.PageShift) + (uint)offset, value);

    private uint EntryOffset(uint index) => SharedRingLayout.Entries + (index & _mask) * (uint)_entrySize;

    private void ReadEntry(uint index, Span<byte> entry)
    {
        uint offset = EntryOffset(index);
        while (!entry.IsEmpty)
        {
            Span<byte> piece = Piece(offset, entry.Length);
            piece.CopyTo(entry);
            entry = entry.Slice(piece.Length);
            offset += (uint)piece.Length;
        }
    }

    private void WriteBytes(uint offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            Span<byte> piece = Piece(offset, bytes.Length);
            bytes.Slice(0, piece.Length).CopyTo(piece);
            bytes = bytes.Slice(piece.Length);
            offset += (uint)piece.Length;
        }
    }

    /// <summary>What of a range lies in its first page: entries of a ring of several pages cross their edges.</summary>
    private Span<byte> Piece(uint offset, int length)
    {
        uint within = offset & (Cpu.PageSize - 1);
        ulong frame = _frames[(int)(offset >> Cpu.PageShift)];
        return PhysicalMemory.Bytes((frame << Cpu.PageShift) + within, Math.Min(length, Cpu.PageSize - (int)within));
    }
}
