using System;
using System.Threading;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>The frontend's side of a shared ring of one page (io/ring.h), honest unless a scenario makes it lie.</summary>
internal unsafe struct FrontRing
{
    private const int Patience = 1_000_000;

    private readonly byte* _ring;
    private readonly int _entrySize;
    private uint _produced;
    private uint _consumed;

    /// <summary>A new ring in a zeroed page.</summary>
    internal FrontRing(Page page, int entrySize)
    {
        _ring = (byte*)page.Address;
        _entrySize = entrySize;
        Entries = SharedRingLayout.EntryCount((int)PageEntry.PageSize, entrySize);
        Index(SharedRingLayout.RequestEvent) = 1;
        Index(SharedRingLayout.ResponseEvent) = 1;
    }

    /// <summary>Entries of it.</summary>
    internal int Entries { get; }

    /// <summary>Whether there is room for another request.</summary>
    internal readonly bool HasRoom => unchecked(_produced - _consumed) < (uint)Entries;

    /// <summary>The place of the next request, which is put in by that.</summary>
    internal byte* Put()
    {
        byte* entry = Entry(_produced++);
        new Span<byte>(entry, _entrySize).Clear();
        return entry;
    }

    /// <summary>Shows the backend what was put in.</summary>
    internal readonly void Publish() => Volatile.Write(ref Index(SharedRingLayout.RequestProducer), _produced);

    /// <summary>Shows the backend more than was put in.</summary>
    internal readonly void PublishAhead(uint count) => Volatile.Write(ref Index(SharedRingLayout.RequestProducer), unchecked(_produced + count));

    /// <summary>The next response, which is taken by that; null when there is none.</summary>
    internal byte* TryTake() => Volatile.Read(ref Index(SharedRingLayout.ResponseProducer)) == _consumed ? null : Entry(_consumed++);

    /// <summary>Waits for the next response; null, and a check that fails, when it does not come.</summary>
    internal byte* Take()
    {
        byte* response = TryTake();
        for (int i = 0; i < Patience && response == null; i++)
        {
            Domain.Yield();
            response = TryTake();
        }

        Report.True("the backend answers a request"u8, response != null);
        return response;
    }

    /// <summary>Responses that nobody has asked for.</summary>
    internal readonly long Surplus => unchecked((int)(Volatile.Read(ref Index(SharedRingLayout.ResponseProducer)) - _produced));

    private readonly byte* Entry(uint index) => _ring + SharedRingLayout.Entries + (index & (uint)(Entries - 1)) * (uint)_entrySize;

    private readonly ref uint Index(int offset) => ref *(uint*)(_ring + offset);
}
