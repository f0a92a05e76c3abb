using System;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>A frontend of the disk xvda (io/blkif.h) with one ring of one page.</summary>
internal unsafe ref struct BlockFrontend
{
    /// <summary>Sectors of 512 bytes in a page.</summary>
    internal const int SectorsOfPage = 8;

    /// <summary>Its grants and its event channel.</summary>
    internal Frontend Device;

    /// <summary>Its ring.</summary>
    internal FrontRing Ring;

    private ulong _nextId;

    /// <summary>Sectors of the disk, as the backend tells.</summary>
    internal ulong Sectors { get; private set; }

    /// <summary>Whether the backend offers BLKIF_OP_DISCARD.</summary>
    internal bool HasDiscard { get; private set; }

    // xvda in the numbering of Linux (docs/man/xen-vbd-interface.7).
    private static ReadOnlySpan<byte> Directory => "device/vbd/51712"u8;

    /// <summary>Finds the disk.</summary>
    internal static bool TryFind(out BlockFrontend disk)
    {
        disk = default;
        return Frontend.TryFind(Directory, out disk.Device);
    }

    /// <summary>Connects with a new ring.</summary>
    internal bool Connect()
    {
        if (!Device.Begin())
        {
            return false;
        }

        Page page = Page.Take();
        Ring = new FrontRing(page, BlkifLayout.Bits64.EntrySize);
        Device.AllocatePort();
        Device.Write("ring-ref"u8, Device.Grant(page));
        Device.Write("event-channel"u8, Device.Port);
        Device.SetState(XenbusState.Initialised);
        if (!Device.Await(XenbusState.Connected))
        {
            return false;
        }

        Device.SetState(XenbusState.Connected);
        Sectors = (ulong)Device.ReadBackend("sectors"u8);
        HasDiscard = Device.ReadBackend("feature-discard"u8) > 0;
        return true;
    }

    /// <summary>The place of the next request, with everything but segments.</summary>
    internal byte* Put(byte operation, byte count, ulong sector)
    {
        byte* request = Ring.Put();
        request[BlkifLayout.Operation] = operation;
        request[BlkifLayout.SegmentCount] = count;
        *(ulong*)(request + BlkifLayout.Bits64.Id) = ++_nextId;
        *(ulong*)(request + BlkifLayout.Bits64.Sector) = sector;
        return request;
    }

    /// <summary>Writes a segment of a request, or of a page of indirect segments.</summary>
    internal static void SetSegment(byte* segments, int index, uint reference, byte first, byte last)
    {
        byte* segment = segments + index * Blkif.SegmentSize;
        *(uint*)(segment + Blkif.SegmentReference) = reference;
        segment[Blkif.SegmentFirst] = first;
        segment[Blkif.SegmentLast] = last;
    }

    /// <summary>Shows the backend the last request that was put in, and waits for its answer, which has to name it.</summary>
    /// <returns>The status; 1 when there was no answer.</returns>
    internal long Execute()
    {
        Ring.Publish();
        Device.Notify();
        byte* response = Ring.Take();
        if (response == null)
        {
            return 1;
        }

        Report.True("the answer names the request"u8, *(ulong*)(response + BlkifLayout.ResponseId) == _nextId);
        return *(short*)(response + BlkifLayout.ResponseStatus);
    }

    /// <summary>Executes a request with one segment.</summary>
    internal long Transfer(BlkifOperation operation, ulong sector, uint reference, byte first = 0, byte last = SectorsOfPage - 1)
    {
        byte* request = Put((byte)operation, 1, sector);
        SetSegment(request + BlkifLayout.Bits64.Segments, 0, reference, first, last);
        return Execute();
    }

    /// <summary>Executes a request with segments in a page of their own.</summary>
    internal long TransferIndirect(byte operation, ushort count, ulong sector, uint page)
    {
        byte* request = Put((byte)BlkifOperation.Indirect, operation, sector);
        *(ushort*)(request + BlkifLayout.IndirectSegmentCount) = count;
        *(uint*)(request + BlkifLayout.Bits64.IndirectReferences) = page;
        return Execute();
    }
}
