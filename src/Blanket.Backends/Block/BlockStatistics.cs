using Blanket.Abi.Xen.Io;
using Blanket.Drivers;

namespace Blanket.Backends;

/// <summary>Requests of a disk that were answered. Counters only grow; they wrap at 2^64.</summary>
internal struct BlockStatistics
{
    /// <summary>Reads that ended well, and their bytes.</summary>
    internal ulong Reads;
    internal ulong ReadBytes;

    /// <summary>Writes that ended well, and their bytes.</summary>
    internal ulong Writes;
    internal ulong WrittenBytes;

    /// <summary>Flushes that ended well.</summary>
    internal ulong Flushes;

    /// <summary>Requests of any kind that did not end well.</summary>
    internal ulong Failed;

    internal void Count(in BlockSlot slot, BlkifStatus status)
    {
        if (status != BlkifStatus.Okay)
        {
            Failed++;
            return;
        }

        switch (slot.Operation)
        {
            case BlockOperation.Read:
                Reads++;
                ReadBytes += slot.Size;
                break;
            case BlockOperation.Write:
                Writes++;
                WrittenBytes += slot.Size;
                break;
            case BlockOperation.Flush:
                Flushes++;
                break;
        }
    }
}
