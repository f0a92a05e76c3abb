using System;

namespace Blanket.Drivers;

/// <summary>What a block request does.</summary>
public enum BlockOperation : byte
{
    Read,
    Write,

    /// <summary>Everything completed before it is durable when it completes. No segments.</summary>
    Flush,

    /// <summary>The sectors' contents are no longer needed. No segments.</summary>
    Discard,

    /// <summary>The sectors read as zeroes afterwards. No segments.</summary>
    WriteZeroes,
}

/// <summary>How a block request ended.</summary>
public enum BlockStatus : byte
{
    Success,

    /// <summary>The device failed it, lied about it, or was reset under it.</summary>
    Error,

    /// <summary>The device does not know the operation.</summary>
    Unsupported,
}

/// <summary>A piece of machine memory for a device.</summary>
/// <param name="address">Physical address.</param>
/// <param name="length">Bytes.</param>
public readonly struct DmaSegment(ulong address, uint length)
{
    /// <summary>Physical address.</summary>
    public readonly ulong Address = address;

    /// <summary>Bytes.</summary>
    public readonly uint Length = length;
}

/// <summary>One request to a block device, without its segments.</summary>
public struct BlockRequest
{
    /// <summary>What to do.</summary>
    public BlockOperation Operation;

    /// <summary>First sector, in units of 512 bytes whatever the device's block size.</summary>
    public ulong Sector;

    /// <summary>Sectors of 512 bytes, for Discard and WriteZeroes; the segments tell for Read and Write.</summary>
    public ulong SectorCount;

    /// <summary>The caller's name for the request, given back at completion.</summary>
    public uint Tag;
}

/// <summary>What a block device is; may change while it is in use (<see cref="BlockClient.GeometryChanged"/>).</summary>
public struct BlockGeometry
{
    /// <summary>Capacity in sectors of 512 bytes.</summary>
    public ulong Sectors;

    /// <summary>Bytes of a logical block: 512 to 4096, a power of two. Requests are aligned to it.</summary>
    public uint LogicalBlockSize;

    /// <summary>Bytes of a physical block, at least the logical.</summary>
    public uint PhysicalBlockSize;

    /// <summary>The most segments of a request.</summary>
    public uint MaximumSegments;

    /// <summary>The most bytes of one segment.</summary>
    public uint MaximumSegmentSize;
    public bool IsReadOnly;
    public bool HasFlush;
    public bool HasDiscard;
    public bool HasWriteZeroes;

    /// <summary>The most sectors of one Discard, and its alignment and granularity in sectors.</summary>
    public uint MaximumDiscardSectors;
    public uint DiscardGranularitySectors;
    public uint MaximumWriteZeroesSectors;
}

/// <summary>
/// Who uses a block device. Called with the device's locks not held, as a rule on the CPU that takes the queue's interrupt; after an
/// error also on other CPUs, at the same time.
/// </summary>
public abstract class BlockClient
{
    /// <summary>A request ended; its memory is no longer the device's.</summary>
    public abstract void Completed(uint tag, BlockStatus status);

    /// <summary>Completions of one interrupt have all been reported (a good time to notify a guest once).</summary>
    public abstract void CompletionsEnd(int queue);

    /// <summary>Requests that were refused for lack of room may be tried again.</summary>
    public abstract void RoomAvailable(int queue);

    /// <summary>Capacity or read-only state changed.</summary>
    public abstract void GeometryChanged();
}

/// <summary>A disk of L0, whatever its transport. No method waits; memory of a request stays pinned until it completes.</summary>
public abstract class BlockDevice
{
    /// <summary>The one user; null until a backend takes the device.</summary>
    public BlockClient? Client;

    /// <summary>Current geometry.</summary>
    public abstract ref readonly BlockGeometry Geometry { get; }

    /// <summary>Request queues, at least 1; each may be used by one CPU at a time, independently of the others.</summary>
    public abstract int QueueCount { get; }

    /// <summary>The name that L0 gave it (virtio: serial, at most 20 bytes), without trailing zeroes.</summary>
    public abstract ReadOnlySpan<byte> Serial { get; }

    /// <summary>Looks at the capacity again: L0 may change what is behind a device that nobody uses, and not say so. Only without a client.</summary>
    public virtual void Refresh()
    {
    }

    /// <summary>Puts a request into a queue; the device sees it at the next <see cref="Kick"/>.</summary>
    /// <param name="queue">Request queue.</param>
    /// <param name="request">What to do.</param>
    /// <param name="segments">Memory of a Read or Write: addresses and lengths are multiples of 512, since not every transport can say others.</param>
    /// <returns>False when the queue has no room now: try again after <see cref="BlockClient.RoomAvailable"/>.</returns>
    public abstract bool TrySubmit(int queue, in BlockRequest request, ReadOnlySpan<DmaSegment> segments);

    /// <summary>Tells the device about submitted requests; at most one exit, none when the device is known to look anyway.</summary>
    public abstract void Kick(int queue);
}
