using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>Requests to a disk that make no sense: each gets its error, and what is sound before, between and behind them is served.</summary>
internal static unsafe class BlockScenarios
{
    private const long Okay = (long)BlkifStatus.Okay;
    private const long Error = (long)BlkifStatus.Error;
    private const long NotSupported = (long)BlkifStatus.NotSupported;
    private const ulong Place = 64;
    private const uint NeverGranted = 900;
    private const uint BeyondTable = 0xffff_fff0;
    private const byte Last = BlockFrontend.SectorsOfPage - 1;

    /// <summary>Operations, counts, ranges and places that cannot be.</summary>
    internal static void Requests()
    {
        if (!BlockFrontend.TryFind(out BlockFrontend disk) || !disk.Connect())
        {
            return;
        }

        Page page = Page.Take();
        uint reference = disk.Device.Grant(page);
        Report.Equal("unknown operation"u8, disk.Transfer((BlkifOperation)4, Place, reference), NotSupported);
        Report.Equal("operation 255"u8, disk.Transfer((BlkifOperation)255, Place, reference), NotSupported);
        Report.Equal("no segments"u8, Execute(ref disk, BlkifOperation.Write, 0, Place, reference), Error);
        Report.Equal("a segment too many"u8, Execute(ref disk, BlkifOperation.Write, Blkif.MaximumSegments + 1, Place, reference), Error);
        Report.Equal("255 segments"u8, Execute(ref disk, BlkifOperation.Read, byte.MaxValue, Place, reference), Error);
        Report.Equal("a segment that ends before it begins"u8, disk.Transfer(BlkifOperation.Read, Place, reference, 3, 2), Error);
        Report.Equal("a segment beyond its page"u8, disk.Transfer(BlkifOperation.Read, Place, reference, 0, Last + 1), Error);
        Report.Equal("a segment far beyond its page"u8, disk.Transfer(BlkifOperation.Read, Place, reference, byte.MaxValue, byte.MaxValue), Error);
        Report.Equal("read behind the disk"u8, disk.Transfer(BlkifOperation.Read, disk.Sectors, reference, 0, 0), Error);
        Report.Equal("write across the disk's end"u8, disk.Transfer(BlkifOperation.Write, disk.Sectors - 1, reference, 0, 1), Error);
        Report.Equal("read at the highest sector"u8, disk.Transfer(BlkifOperation.Read, ulong.MaxValue, reference, 0, 0), Error);
        Report.Equal("write where the byte's number overflows"u8, disk.Transfer(BlkifOperation.Write, 1UL << 55, reference, 0, 0), Error);
        Report.Equal("flush"u8, Execute(ref disk, BlkifOperation.FlushDiskCache, 0, 0, reference), Okay);
        Discards(ref disk);
        Serves(ref disk, page, reference);
        disk.Device.Close();
        GrantTable.RevokeAll();
    }

    /// <summary>Grants that do not allow what the request wants, and those that do although they look strange.</summary>
    internal static void Grants()
    {
        if (!BlockFrontend.TryFind(out BlockFrontend disk) || !disk.Connect())
        {
            return;
        }

        Page page = Page.Take();
        uint reference = disk.Device.Grant(page);
        Report.Equal("a reference that was not granted"u8, disk.Transfer(BlkifOperation.Read, Place, NeverGranted), Error);
        Report.Equal("a reference beyond the table"u8, disk.Transfer(BlkifOperation.Write, Place, BeyondTable), Error);

        Page constant = Page.Take();
        constant.Bytes.Fill(0x5a);
        uint readOnly = disk.Device.Grant(constant, isReadOnly: true);
        Report.Equal("write from a page granted read-only"u8, disk.Transfer(BlkifOperation.Write, Place, readOnly), Okay);
        Report.Equal("read into a page granted read-only"u8, disk.Transfer(BlkifOperation.Read, Place, readOnly), Error);

        uint table = disk.Device.Grant(Page.Of(Domain.FirstBootTable));
        Report.Equal("read into a page table"u8, disk.Transfer(BlkifOperation.Read, Place, table), Error);

        uint foreign = disk.Device.Grant(page);
        GrantTable.Set(foreign, GrantTableFlags.PermitAccess, disk.Device.BackendDomain, 1);
        Report.Equal("a frame of somebody else's"u8, disk.Transfer(BlkifOperation.Read, Place, foreign), Error);
        GrantTable.Set(foreign, GrantTableFlags.PermitAccess, disk.Device.BackendDomain, uint.MaxValue);
        Report.Equal("a frame that does not exist"u8, disk.Transfer(BlkifOperation.Write, Place, foreign), Error);
        GrantTable.Set(foreign, GrantTableFlags.PermitAccess, DomainId.FirstReserved - 2, page.Mfn);
        Report.Equal("a page granted to another domain"u8, disk.Transfer(BlkifOperation.Read, Place, foreign), Error);
        GrantTable.Set(foreign, GrantTableFlags.AcceptTransfer, disk.Device.BackendDomain, page.Mfn);
        Report.Equal("a page granted for transfer"u8, disk.Transfer(BlkifOperation.Read, Place, foreign), Error);

        byte* request = disk.Put((byte)BlkifOperation.Read, Blkif.MaximumSegments, Place);
        for (int i = 0; i < Blkif.MaximumSegments; i++)
        {
            BlockFrontend.SetSegment(request + BlkifLayout.Bits64.Segments, i, i == Blkif.MaximumSegments - 1 ? NeverGranted : reference, 0, Last);
        }

        Report.Equal("the last of eleven segments was not granted"u8, disk.Execute(), Error);
        request = disk.Put((byte)BlkifOperation.Read, Blkif.MaximumSegments, Place);
        for (int i = 0; i < Blkif.MaximumSegments; i++)
        {
            BlockFrontend.SetSegment(request + BlkifLayout.Bits64.Segments, i, reference, 0, Last);
        }

        Report.Equal("one page for all segments"u8, disk.Execute(), Okay);
        Serves(ref disk, page, reference);
        disk.Device.Close();
        GrantTable.RevokeAll();
    }

    /// <summary>Segments in pages of their own.</summary>
    internal static void Indirect()
    {
        if (!BlockFrontend.TryFind(out BlockFrontend disk) || !disk.Connect())
        {
            return;
        }

        Page page = Page.Take();
        uint reference = disk.Device.Grant(page);
        Page segments = Page.Take();
        uint list = disk.Device.Grant(segments, isReadOnly: true);
        BlockFrontend.SetSegment((byte*)segments.Address, 0, reference, 0, Last);
        const byte read = (byte)BlkifOperation.Read;
        Report.Equal("no indirect segments"u8, disk.TransferIndirect(read, 0, Place, list), Error);
        Report.Equal("65,535 indirect segments"u8, disk.TransferIndirect(read, ushort.MaxValue, Place, list), Error);
        Report.Equal("indirect flush"u8, disk.TransferIndirect((byte)BlkifOperation.FlushDiskCache, 1, Place, list), Error);
        Report.Equal("indirect request inside an indirect request"u8, disk.TransferIndirect((byte)BlkifOperation.Indirect, 1, Place, list), Error);
        Report.Equal("a list that was not granted"u8, disk.TransferIndirect(read, 1, Place, NeverGranted), Error);
        segments.Bytes.Slice(Blkif.SegmentSize).Fill(0xff);
        Report.Equal("a list whose second segment is nonsense"u8, disk.TransferIndirect(read, 2, Place, list), Error);
        Report.Equal("a list of one sound segment"u8, disk.TransferIndirect(read, 1, Place, list), Okay);
        Serves(ref disk, page, reference);
        disk.Device.Close();
        GrantTable.RevokeAll();
    }

    /// <summary>Rings that cannot be: the backend gives up this connection, and serves the next one.</summary>
    internal static void Rings()
    {
        if (!BlockFrontend.TryFind(out BlockFrontend disk))
        {
            return;
        }

        for (uint ahead = 1; ahead != 0; ahead <<= 8)
        {
            if (!disk.Connect())
            {
                return;
            }

            disk.Ring.PublishAhead((uint)disk.Ring.Entries + ahead);
            disk.Device.Notify();
            disk.Device.Await(XenbusState.Closing);
            disk.Device.Close();
        }

        // What cannot be connected to: a ring that was not granted, one in a page table, a port that is no channel, more pages than there may be.
        Page page = Page.Take();
        Refuses(ref disk, NeverGranted, port: null, order: 0);
        Refuses(ref disk, disk.Device.Grant(Page.Of(Domain.FirstBootTable)), port: null, order: 0);
        Refuses(ref disk, disk.Device.Grant(page), port: uint.MaxValue, order: 0);
        Refuses(ref disk, disk.Device.Grant(page), port: null, order: 200);
        if (disk.Connect())
        {
            Page data = Page.Take();
            Serves(ref disk, data, disk.Device.Grant(data));
            disk.Device.Close();
        }

        GrantTable.RevokeAll();
    }

    private static void Refuses(ref BlockFrontend disk, uint ring, uint? port, ulong order)
    {
        if (!disk.Device.Begin())
        {
            return;
        }

        disk.Device.AllocatePort();
        disk.Device.Write("ring-ref"u8, ring);
        disk.Device.Write("event-channel"u8, port ?? disk.Device.Port);
        disk.Device.Write("ring-page-order"u8, order);
        disk.Device.SetState(XenbusState.Initialised);
        disk.Device.Await(XenbusState.Closing);
        disk.Device.Write("ring-page-order"u8, 0);
        disk.Device.Close();
    }

    private static void Discards(ref BlockFrontend disk)
    {
        if (!disk.HasDiscard)
        {
            Report.Equal("discard that was not offered"u8, Discard(ref disk, Place, BlockFrontend.SectorsOfPage), NotSupported);
            return;
        }

        Report.Equal("discard of nothing"u8, Discard(ref disk, Place, 0), Error);
        Report.Equal("discard of more sectors than there are"u8, Discard(ref disk, Place, ulong.MaxValue), Error);
        Report.Equal("discard whose bytes overflow"u8, Discard(ref disk, Place, 1UL << 55), Error);
        Report.Equal("discard behind the disk"u8, Discard(ref disk, disk.Sectors, 1), Error);
    }

    private static long Discard(ref BlockFrontend disk, ulong sector, ulong count)
    {
        byte* request = disk.Put((byte)BlkifOperation.Discard, 0, sector);
        *(ulong*)(request + BlkifLayout.Bits64.DiscardSectors) = count;
        return disk.Execute();
    }

    private static long Execute(ref BlockFrontend disk, BlkifOperation operation, byte count, ulong sector, uint reference)
    {
        byte* request = disk.Put((byte)operation, count, sector);
        BlockFrontend.SetSegment(request + BlkifLayout.Bits64.Segments, 0, reference, 0, Last);
        return disk.Execute();
    }

    /// <summary>What is written comes back.</summary>
    private static void Serves(ref BlockFrontend disk, Page page, uint reference)
    {
        const byte pattern = 0xc3;
        page.Bytes.Fill(pattern);
        Report.Equal("a sound write"u8, disk.Transfer(BlkifOperation.Write, Place, reference), Okay);
        page.Bytes.Clear();
        Report.Equal("a sound read"u8, disk.Transfer(BlkifOperation.Read, Place, reference), Okay);
        int wrong = 0;
        foreach (byte value in page.Bytes)
        {
            wrong += value == pattern ? 0 : 1;
        }

        Report.Equal("bytes that are not what was written"u8, wrong, 0);
        Report.Equal("answers to nothing"u8, disk.Ring.Surplus, 0);
    }
}
