using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// The frontend's side of a shared ring (io/ring.h) in memory of L1. The backend may change every byte at any time: the driver keeps its
/// own indexes, reads each shared value once, and checks it. Its owner's lock covers it.
/// </summary>
internal sealed class FrontendRing
{
    private readonly ulong _address;
    private readonly uint _entrySize;
    private uint _mask;

    // Indexes run freely and wrap at 2^32.
    private uint _requestProducer;
    private uint _published;
    private uint _responseConsumer;

    /// <summary>A ring that is to be cleared before it is used.</summary>
    /// <param name="address">Physical address of its pages, which lie in a row.</param>
    /// <param name="entrySize">Bytes of the larger of request and response.</param>
    public FrontendRing(ulong address, int entrySize)
    {
        _address = address;
        _entrySize = (uint)entrySize;
    }

    /// <summary>Entries, a power of two.</summary>
    public int Size => (int)_mask + 1;

    /// <summary>Entries that hold no request without a response.</summary>
    public int FreeEntries => Size - InFlight;

    /// <summary>Requests whose responses have not been taken.</summary>
    public int InFlight => (int)unchecked(_requestProducer - _responseConsumer);

    /// <summary>Index of the next response in the order of the ring, for rings whose responses stay in their requests' places.</summary>
    public uint NextResponse => _responseConsumer & _mask;

    /// <summary>Index of the next request.</summary>
    public uint NextRequest => _requestProducer & _mask;

    /// <summary>Makes it an empty ring of so many bytes; only while no backend uses it.</summary>
    public void Clear(int bytes)
    {
        PhysicalMemory.Bytes(_address, bytes).Clear();
        _mask = (uint)SharedRingLayout.EntryCount(bytes, (int)_entrySize) - 1;
        PhysicalMemory.Write(_address + SharedRingLayout.RequestEvent, 1u);
        PhysicalMemory.Write(_address + SharedRingLayout.ResponseEvent, 1u);
        _requestProducer = 0;
        _published = 0;
        _responseConsumer = 0;
    }

    /// <summary>Takes the next entry for a request; the backend sees it after <see cref="Publish"/>. There is a free one.</summary>
    /// <returns>Physical address of the entry, which holds anything.</returns>
    public ulong PutRequest()
    {
        Check.That(FreeEntries > 0);
        return EntryAddress(unchecked(_requestProducer++));
    }

    /// <summary>Shows the backend all requests that were put in.</summary>
    /// <returns>Whether it wants to be notified of them (RING_PUSH_REQUESTS_AND_CHECK_NOTIFY).</returns>
    public bool Publish()
    {
        uint old = _published;
        if (_requestProducer == old)
        {
            return false;
        }

        // The store is a release: the backend sees the entries before the index.
        Volatile.Write(ref PhysicalMemory.At<uint>(_address + SharedRingLayout.RequestProducer), _requestProducer);
        _published = _requestProducer;
        Interlocked.MemoryBarrier();
        uint wanted = PhysicalMemory.Read<uint>(_address + SharedRingLayout.RequestEvent);
        return unchecked(_requestProducer - wanted) < unchecked(_requestProducer - old);
    }

    /// <summary>Counts responses that have not been taken.</summary>
    /// <returns>False when the backend's index cannot be: it answered what was not asked.</returns>
    public bool TryCountResponses(out uint count)
    {
        count = unchecked(ReadResponseProducer() - _responseConsumer);
        return count <= unchecked(_published - _responseConsumer);
    }

    /// <summary>Takes the next response; only as many as <see cref="TryCountResponses"/> counted.</summary>
    /// <returns>Physical address of the entry; the backend can still change it.</returns>
    public ulong TakeResponse() => EntryAddress(unchecked(_responseConsumer++));

    /// <summary>Physical address of a response that lies so many behind the next one, without taking it.</summary>
    public ulong PeekResponse(uint ahead) => EntryAddress(unchecked(_responseConsumer + ahead));

    /// <summary>Whether there is a response that was not taken. Needs no lock: a hint.</summary>
    public bool HasResponses => ReadResponseProducer() != _responseConsumer;

    /// <summary>Asks for a notification of the next response.</summary>
    /// <returns>False when one came meanwhile: take it, no notification may follow (RING_FINAL_CHECK_FOR_RESPONSES).</returns>
    public bool TryRequestEvent() => TryRequestEvent(0);

    /// <summary>Asks for a notification when more than so many responses have not been taken; false when there are more already.</summary>
    public bool TryRequestEvent(uint delay)
    {
        PhysicalMemory.Write(_address + SharedRingLayout.ResponseEvent, unchecked(_responseConsumer + delay + 1));
        // The request must be visible before the index is looked at again, or a response in between raises no event.
        Interlocked.MemoryBarrier();
        return unchecked(ReadResponseProducer() - _responseConsumer) <= delay;
    }

    private uint ReadResponseProducer() => Volatile.Read(ref PhysicalMemory.At<uint>(_address + SharedRingLayout.ResponseProducer));

    private ulong EntryAddress(uint index) => _address + SharedRingLayout.Entries + (index & _mask) * _entrySize;
}
