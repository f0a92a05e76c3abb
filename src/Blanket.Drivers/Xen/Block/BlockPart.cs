using Blanket.Abi.Xen.Io;

namespace Blanket.Drivers.Xen.Block;

/// <summary>Where a part of a request is.</summary>
internal enum BlockPartState : byte
{
    /// <summary>The record is not in use.</summary>
    Free,

    /// <summary>To be put into the ring as soon as there is one with room.</summary>
    Waiting,

    /// <summary>In the ring.</summary>
    Sent,

    /// <summary>Another queue does it, as a request of its own: this one's backend is gone, and the next takes fewer queues.</summary>
    Lent,

    /// <summary>Answered or given up, while the backend still uses its pages: they are not the client's yet.</summary>
    Ending,
}

/// <summary>
/// What one entry of the ring asks for. It is kept until the answer, so that the entry can be put into another ring: after a
/// suspend, or for a backend that was opened again.
/// </summary>
internal struct BlockPart
{
    public BlockPartState State;

    /// <summary>What is asked for, without regard to how segments travel.</summary>
    public BlkifOperation Operation;

    /// <summary>How it ended.</summary>
    public BlockStatus Status;

    /// <summary>The client's request that it belongs to.</summary>
    public short Request;

    /// <summary>The page of segments; none when they fit into the entry.</summary>
    public short Table;

    /// <summary>Its pieces, a list.</summary>
    public int FirstPiece;
    public int PieceCount;

    public ulong Sector;

    /// <summary>Sectors, for discards and for writing zeroes.</summary>
    public ulong SectorCount;

    /// <summary>Changes with each use of the record, so that an answer that is given twice is not taken for another's.</summary>
    public uint Generation;

    /// <summary>Neighbours in the order of submission.</summary>
    public short Older;
    public short Newer;
}

/// <summary>A client's request: one or more parts.</summary>
internal struct BlockTransfer
{
    public uint Tag;
    public short PartsLeft;

    /// <summary>It is a part of another queue's.</summary>
    public bool IsBorrowed;
    public BlockStatus Status;

    /// <summary>Next free record.</summary>
    public short Next;
}
