using Blanket.Drivers;

namespace Blanket.Backends;

/// <summary>What a request waits for.</summary>
internal enum BlockStage : byte
{
    /// <summary>The slot is free.</summary>
    Free,

    /// <summary>It is the device's turn, or the device's queue has no room.</summary>
    Running,

    /// <summary>A barrier: requests that were taken before it have not all ended.</summary>
    BarrierWait,

    /// <summary>A barrier: the device makes everything earlier durable.</summary>
    BarrierFlush,

    /// <summary>A barrier: the device writes its data.</summary>
    BarrierWrite,

    /// <summary>A barrier: the device makes its data durable.</summary>
    BarrierFinalFlush,
}

/// <summary>A guest's request in flight. One may take several requests to the device.</summary>
internal struct BlockSlot
{
    /// <summary>The guest's name for the request.</summary>
    internal ulong Id;

    /// <summary>First sector of 512 bytes that has not been given to the device.</summary>
    internal ulong Sector;

    /// <summary>Bytes of a read or write, sectors of a discard, that have not been given to the device.</summary>
    internal ulong Remaining;

    /// <summary>Bytes of the whole read or write.</summary>
    internal ulong Size;

    /// <summary>Pinned segments, to be let go of in the end.</summary>
    internal int SegmentCount;

    /// <summary>Segment to go on with.</summary>
    internal int CursorSegment;

    /// <summary>Bytes of that segment that have been given to the device.</summary>
    internal int CursorOffset;

    /// <summary>Requests at the device, and one while more are to come. Changed by interlocked operations.</summary>
    internal int Outstanding;

    /// <summary>The worst <see cref="BlockStatus"/> so far. Changed by interlocked operations.</summary>
    internal int Status;

    /// <summary>Next slot of the list of ended ones, or <see cref="BlockRing.None"/>.</summary>
    internal int NextEnded;

    /// <summary>The operation code to answer with.</summary>
    internal byte ResponseOperation;

    /// <summary>What the device is asked to do.</summary>
    internal BlockOperation Operation;

    /// <summary>What the request waits for.</summary>
    internal BlockStage Stage;
}
