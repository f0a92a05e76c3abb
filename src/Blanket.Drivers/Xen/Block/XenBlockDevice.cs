using System;
using System.Numerics;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen.Block;

/// <summary>The frontend of a virtual disk (io/blkif.h).</summary>
internal sealed class XenBlockDevice : QueuedFrontend
{
    private const uint SectorSize = BlockPieceReader.SectorSize;
    private const uint PageSectors = Cpu.PageSize / SectorSize;
    private const uint MaximumSegments = 64;

    // blkif gives no limit; 4 GiB keep a request's time bounded.
    private const uint MaximumDiscardSectors = 1u << 23;

    // More would be more bytes than there are addresses for.
    private const ulong MaximumSectors = 1UL << 54;

    // Completions of one event before other work has its turn.
    private const int CompletionBudget = 2 * BlockQueue.MaximumParts;

    private readonly BlockQueue?[] _queues = new BlockQueue?[MaximumQueues];

    // Segments of a request that changes queues; whose CPU the flag names.
    private readonly DmaSegment[] _moved = new DmaSegment[BlockQueue.MaximumPieces];
    private readonly uint _zeroReference;
    private readonly ulong _zeroFrame;
    private readonly bool _hasZeroPage;
    private BlockGeometry _geometry;
    private ushort _handle;
    private int _ringOrder;
    private int _entryPieces;
    private int _isMoving;

    public XenBlockDevice(XenTransport xen, uint deviceId)
        : base(xen, FrontendKind.Block, deviceId)
    {
        Disk = new XenBlock(this);
        _geometry.LogicalBlockSize = SectorSize;
        _geometry.PhysicalBlockSize = SectorSize;
        _geometry.MaximumSegments = MaximumSegments;
        _geometry.MaximumSegmentSize = Cpu.PageSize;
        _hasZeroPage = FrameAllocator.TryAllocateZeroed(out _zeroFrame) && xen.Grants.TryReserve(out _zeroReference);
    }

    /// <summary>What backends use.</summary>
    public XenBlock Disk { get; }

    /// <summary>Current geometry.</summary>
    public ref readonly BlockGeometry Geometry => ref _geometry;

    /// <summary>How this backend is told to make everything before durable.</summary>
    public BlkifOperation FlushOperation { get; private set; } = BlkifOperation.FlushDiskCache;

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> OfferNames => "multi-queue-max-queues\0max-ring-page-order\0/virtual-device\0"u8;

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> DetailNames =>
        "sectors\0sector-size\0physical-sector-size\0info\0mode\0feature-flush-cache\0feature-barrier\0feature-discard\0discard-granularity\0feature-max-indirect-segments\0"u8;

    /// <inheritdoc/>
    protected override XenbusState ReadyState => XenbusState.Initialised;

    /// <summary>A queue that exists.</summary>
    public BlockQueue Queue(int index) => _queues[index]!;

    /// <summary>Tells the backend about requests in a queue.</summary>
    public void KickQueue(int index)
    {
        if (Queue(index).Publish(out bool mustServe))
        {
            Notify(index);
        }

        if (mustServe)
        {
            ServeLater(index);
        }
    }

    /// <inheritdoc/>
    protected override bool CreateQueue(int queue)
    {
        DmaMemory? memory = _hasZeroPage ? DmaMemory.Create(BlockQueue.MemorySize, ulong.MaxValue) : null;
        _queues[queue] = memory == null ? null : BlockQueue.Create(Xen.Grants, Health, queue, memory.Address);
        if (_queues[queue] == null)
        {
            memory?.Free();
        }

        return _queues[queue] != null;
    }

    /// <inheritdoc/>
    protected override bool TryPrepareQueue(int queue, BackendNodes offer, FrontendNodes nodes, ReadOnlySpan<byte> prefix)
    {
        _ringOrder = offer.TryRead("max-ring-page-order"u8, uint.MaxValue, out ulong order) ? (int)Math.Min(order, BlockQueue.MaximumRingOrder) : 0;
        if (!Queue(queue).TryPrepare(BackendDomain, _ringOrder))
        {
            return false;
        }

        if (_ringOrder == 0)
        {
            AddQueueNode(nodes, prefix, "ring-ref"u8, Queue(queue).RingReference(0));
            return true;
        }

        PathBuilder name = new(stackalloc byte[16]);
        for (int page = 0; page < 1 << _ringOrder; page++)
        {
            name.Truncate(0);
            name.Append("ring-ref"u8);
            name.AppendDecimal((uint)page);
            AddQueueNode(nodes, prefix, name.Text, Queue(queue).RingReference(page));
        }

        return true;
    }

    /// <inheritdoc/>
    protected override void ParkQueue(int queue) => Queue(queue).Park();

    /// <inheritdoc/>
    protected override void AddNodes(BackendNodes offer, FrontendNodes nodes)
    {
        _handle = (ushort)(offer.TryRead("/virtual-device"u8, uint.MaxValue, out ulong handle) ? handle : DeviceId);
        if (_ringOrder != 0)
        {
            nodes.Add("ring-page-order"u8, (ulong)_ringOrder);
        }

        nodes.Add("protocol"u8, ProtocolName.X86Bits64);
        nodes.Add("feature-persistent"u8, 0);
    }

    /// <inheritdoc/>
    protected override bool Connect(BackendNodes details)
    {
        if (!TryReadGeometry(details, out BlockGeometry geometry) || !Xen.Grants.TryRevoke(_zeroReference))
        {
            return false;
        }

        Xen.Grants.Grant(_zeroReference, BackendDomain, _zeroFrame, true);
        FlushOperation = details.ReadFlag("feature-flush-cache"u8) ? BlkifOperation.FlushDiskCache : BlkifOperation.WriteBarrier;
        _entryPieces = Blkif.MaximumSegments;
        if (details.TryRead("feature-max-indirect-segments"u8, uint.MaxValue, out ulong indirect))
        {
            _entryPieces = (int)Math.Max((ulong)Blkif.MaximumSegments, Math.Min(indirect, BlockQueue.MaximumPieces));
        }

        bool isOther = _geometry.Sectors != geometry.Sectors || _geometry.IsReadOnly != geometry.IsReadOnly;
        _geometry = geometry;
        for (int i = 0; i < ActiveQueues; i++)
        {
            if (Queue(i).Connect(_handle, _entryPieces, geometry.LogicalBlockSize / SectorSize, _zeroReference))
            {
                Notify(i);
            }
        }

        Introduce();
        Connected();
        if (isOther)
        {
            Disk.Client?.GeometryChanged();
        }

        return true;
    }

    /// <inheritdoc/>
    protected override void Update(BackendNodes details)
    {
        if (!TryReadGeometry(details, out BlockGeometry geometry)
            || (geometry.Sectors == _geometry.Sectors && geometry.IsReadOnly == _geometry.IsReadOnly))
        {
            return;
        }

        // Features and the size of blocks stay what they were when rings were connected.
        Volatile.Write(ref _geometry.Sectors, geometry.Sectors);
        _geometry.IsReadOnly = geometry.IsReadOnly;
        LogLine line = Describe();
        line.Text(", now "u8).Decimal(geometry.Sectors).Text(geometry.IsReadOnly ? " sectors, read-only"u8 : " sectors"u8).End();
        Disk.Client?.GeometryChanged();
    }

    /// <inheritdoc/>
    protected override void StopQueue(int queue) => Queue(queue).Disconnect();

    /// <inheritdoc/>
    protected override void GiveUpQueue(int queue) => Queue(queue).GiveUp();

    /// <inheritdoc/>
    protected override void ServeQueue(int index)
    {
        BlockQueue queue = Queue(index);
        BlockClient? client = Disk.Client;
        int budget = CompletionBudget;
        do
        {
            while (budget > 0 && queue.TryTakeCompletion(out uint tag, out BlockStatus status, out bool isBorrowed))
            {
                budget--;
                if (isBorrowed)
                {
                    int owner = (int)(tag >> 16);
                    Queue(owner).EndLent(tag, status);
                    ServeLater(owner);
                }
                else
                {
                    client?.Completed(tag, status);
                }
            }

            if (queue.Continue())
            {
                Notify(index);
            }

            BorrowFromParked(index);
        }
        while (budget > 0 && !queue.TryRequestEvent());

        if (client != null)
        {
            TellClient(client, index, budget < CompletionBudget, IsFailed ? queue.TakeRefused() : queue.TakeRoomAvailable());
        }

        if (budget == 0)
        {
            ServeLater(index);
        }
    }

    /// <inheritdoc/>
    protected override void Changed()
    {
        for (int i = 0; i < QueueCount; i++)
        {
            Disk.Client?.RoomAvailable(i);
        }
    }

    // What was in flight in queues that this backend does not take is done by those that it takes.
    private void BorrowFromParked(int index)
    {
        if (ActiveQueues == QueueCount || index >= ActiveQueues)
        {
            return;
        }

        if (Interlocked.CompareExchange(ref _isMoving, 1, 0) != 0)
        {
            // Another CPU moves requests to its queue: these come after that.
            ServeLater(index);
            return;
        }

        bool hasMoved = false;
        for (int i = ActiveQueues; i < QueueCount; i++)
        {
            hasMoved |= IsServedBy(i, index) && Queue(index).Borrow(Queue(i), _moved);
        }

        Volatile.Write(ref _isMoving, 0);
        if (hasMoved)
        {
            KickQueue(index);
        }
    }

    private void TellClient(BlockClient client, int index, bool hasCompletions, bool hasRoom)
    {
        for (int i = index; i < QueueCount; i++)
        {
            // What a parked queue still has is its own client's.
            if (i != index && !IsServedBy(i, index))
            {
                continue;
            }

            if (hasCompletions)
            {
                client.CompletionsEnd(i);
            }

            if (hasRoom)
            {
                client.RoomAvailable(i);
            }
        }
    }

    private bool TryReadGeometry(BackendNodes details, out BlockGeometry geometry)
    {
        geometry = default;
        if (!details.TryRead("sectors"u8, MaximumSectors, out geometry.Sectors))
        {
            return false;
        }

        geometry.LogicalBlockSize = ReadBlockSize(details, "sector-size"u8, SectorSize);
        geometry.PhysicalBlockSize = ReadBlockSize(details, "physical-sector-size"u8, geometry.LogicalBlockSize);
        geometry.MaximumSegments = MaximumSegments;
        geometry.MaximumSegmentSize = Cpu.PageSize;
        geometry.IsReadOnly = (details.TryRead("info"u8, uint.MaxValue, out ulong info) && (info & Blkif.InfoReadOnly) != 0)
            || (details.TryRead("mode"u8, out ReadOnlySpan<byte> mode) && mode.SequenceEqual("r"u8));
        geometry.HasFlush = details.ReadFlag("feature-flush-cache"u8) || details.ReadFlag("feature-barrier"u8);

        // Written as ordinary data that every backend takes: what fits into an entry without indirect segments.
        geometry.HasWriteZeroes = true;
        geometry.MaximumWriteZeroesSectors = Blkif.MaximumSegments * PageSectors;
        geometry.HasDiscard = details.ReadFlag("feature-discard"u8);
        if (geometry.HasDiscard)
        {
            bool hasGranularity = details.TryRead("discard-granularity"u8, uint.MaxValue, out ulong granularity);
            geometry.MaximumDiscardSectors = MaximumDiscardSectors;
            geometry.DiscardGranularitySectors = Math.Max(hasGranularity ? (uint)granularity : 0, geometry.LogicalBlockSize) / SectorSize;
        }

        geometry.Sectors &= ~(ulong)(geometry.LogicalBlockSize / SectorSize - 1);

        // A block that does not fit a page cannot be said in segments of pages.
        return geometry.LogicalBlockSize <= Cpu.PageSize;
    }

    private static uint ReadBlockSize(BackendNodes details, ReadOnlySpan<byte> name, uint least) =>
        details.TryRead(name, 1u << 30, out ulong size) && size >= least && BitOperations.IsPow2(size) ? (uint)size : least;

    private void Introduce()
    {
        LogLine line = Describe();
        line.Text(", "u8).Decimal(_geometry.Sectors).Text(" sectors, block "u8).Decimal(_geometry.LogicalBlockSize)
            .Text(_geometry.IsReadOnly ? ", read-only, "u8 : ", "u8).Decimal((uint)ActiveQueues).Text(" queues of "u8)
            .Decimal((uint)Queue(0).Entries).Text(" entries, "u8).Decimal((uint)_entryPieces).Text(" segments an entry"u8)
            .Text(!_geometry.HasFlush ? ""u8 : FlushOperation == BlkifOperation.FlushDiskCache ? ", flush"u8 : ", barrier"u8)
            .Text(_geometry.HasDiscard ? ", discard"u8 : ""u8).End();
    }
}
