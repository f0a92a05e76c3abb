using System;
using System.Numerics;
using System.Threading;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Block;

/// <summary>The block device driver (virtio 1.2, 5.2): one queue group a request queue.</summary>
internal sealed class VirtioBlockDevice : VirtioDevice
{
    // Requests in flight a queue; 128 of them keep every disk busy, and their tables take 256 KiB.
    private const int QueueCapacity = 128;

    // Buffers of one request, header and status included.
    private const int MaximumBuffers = 128;
    private const int OverheadBuffers = 2;
    private const uint LargestSegment = 4u << 20;
    private const int SectorSize = 512;
    private const int IdPolls = 1_000_000;

    // Completions of one interrupt before other work has its turn.
    private const int CompletionBudget = 2 * QueueCapacity;

    private readonly byte[] _serial = new byte[BlockWire.IdLength];
    private BlockQueue?[] _queues = new BlockQueue?[0];
    private BlockGeometry _geometry;
    private DmaMemory? _idMemory;
    private int _serialLength;
    private bool _isIdKnown;

    public VirtioBlockDevice(VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator allocator)
        : base(transport, function, mapper, allocator)
    {
        Disk = new VirtioBlock(this);
    }

    /// <summary>What backends use.</summary>
    public VirtioBlock Disk { get; }

    /// <summary>Current geometry.</summary>
    public ref readonly BlockGeometry Geometry => ref _geometry;

    /// <summary>The disk's id without trailing zeroes.</summary>
    public ReadOnlySpan<byte> Serial => new(_serial, 0, _serialLength);

    /// <summary>Whether zeroed sectors may be deallocated.</summary>
    public bool WriteZeroesMayUnmap { get; private set; }

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> Kind => "block"u8;

    /// <summary>A request queue.</summary>
    public BlockQueue Queue(int index) => _queues[index]!;

    /// <summary>Tells the device about requests in a queue.</summary>
    public void Kick(int index)
    {
        if (Queue(index).Publish(out bool mustServe))
        {
            Transport.Notify(Queue(index).Ring);
        }

        if (mustServe)
        {
            ServeLater(index);
        }
    }

    /// <summary>Looks at the capacity again.</summary>
    public void Refresh()
    {
        if (!IsFailed)
        {
            ServiceConfiguration();
        }
    }

    /// <summary>Learns the disk's id and logs what was found; once, after the start.</summary>
    public void Introduce()
    {
        ReadId();
        LogLine line = Describe();
        line.Text(", "u8).Decimal(_geometry.Sectors).Text(" sectors, block "u8).Decimal(_geometry.LogicalBlockSize)
            .Text(_geometry.IsReadOnly ? ", read-only, "u8 : ", "u8).Decimal((uint)GroupCount).Text(" queues of "u8)
            .Decimal((uint)Queue(0).Ring.Capacity).Text(", serial "u8).Quoted(Serial).End();
    }

    /// <inheritdoc/>
    protected override ulong ChooseFeatures(ulong offered) => offered & (
        BlockWire.SizeMaximum | BlockWire.SegmentMaximum | BlockWire.ReadOnly | BlockWire.BlockSize | BlockWire.Flush
        | BlockWire.Topology | BlockWire.MultiQueue | BlockWire.Discard | BlockWire.WriteZeroes);

    /// <inheritdoc/>
    protected override bool CreateQueues()
    {
        int queues = Has(BlockWire.MultiQueue) ? Math.Max(1, (int)Transport.ReadConfiguration16(BlockWire.ConfigQueues)) : 1;
        queues = Math.Min(Math.Min(queues, CpuCount), MaximumQueues);
        _queues = new BlockQueue?[queues];
        for (int i = 0; i < queues; i++)
        {
            Virtqueue? ring = CreateQueue(i, i, QueueCapacity, MaximumBuffers);
            DmaMemory? memory = ring == null ? null : CreateMemory((uint)ring.Capacity * BlockRequestMemory.SlotSize);
            if (ring == null || memory == null || ring.MaximumBuffers <= OverheadBuffers)
            {
                return false;
            }

            _queues[i] = new BlockQueue(ring, memory.Address);
        }

        _idMemory = CreateMemory(BlockWire.IdLength);
        GroupCount = queues;
        ReadGeometry();
        return _idMemory != null;
    }

    /// <inheritdoc/>
    protected override void ServiceGroup(int group)
    {
        BlockQueue queue = Queue(group);
        BlockClient? client = Disk.Client;
        queue.Ring.SuppressInterrupts();
        int budget = CompletionBudget;
        do
        {
            while (budget > 0 && queue.TryTakeCompletion(out uint tag, out BlockStatus status, out bool isInternal, out bool hasWrongLength))
            {
                budget--;
                Report(group, client, tag, status, isInternal, hasWrongLength);
            }
        }
        while (budget > 0 && !queue.TryRequestInterrupt());

        if (client != null)
        {
            if (budget < CompletionBudget)
            {
                client.CompletionsEnd(group);
            }

            if (queue.TakeRoomAvailable())
            {
                client.RoomAvailable(group);
            }
        }

        if (budget == 0)
        {
            ServeLater(group);
        }
    }

    /// <inheritdoc/>
    protected override void ServiceConfiguration()
    {
        ulong sectors = Transport.ReadConfiguration64(BlockWire.ConfigCapacity);
        if (sectors == _geometry.Sectors)
        {
            return;
        }

        Volatile.Write(ref _geometry.Sectors, sectors);
        LogLine line = Describe();
        line.Text(", now "u8).Decimal(sectors).Text(" sectors"u8).End();
        Disk.Client?.GeometryChanged();
    }

    /// <inheritdoc/>
    protected override void GiveUp(Virtqueue queue) => Queue(queue.Index).GiveUp();

    /// <inheritdoc/>
    protected override void Restarted()
    {
        // It may have changed while nobody listened.
        Refresh();
    }

    private void Report(int group, BlockClient? client, uint tag, BlockStatus status, bool isInternal, bool hasWrongLength)
    {
        if (hasWrongLength)
        {
            Health.Report(VirtioFault.WrongLength, group, tag);
        }

        if (isInternal)
        {
            TakeId(status);
        }
        else
        {
            client?.Completed(tag, status);
        }
    }

    private void ReadGeometry()
    {
        _geometry.Sectors = Transport.ReadConfiguration64(BlockWire.ConfigCapacity);
        _geometry.LogicalBlockSize = ReadBlockSize();
        _geometry.PhysicalBlockSize = ReadPhysicalBlockSize(_geometry.LogicalBlockSize);
        _geometry.IsReadOnly = Has(BlockWire.ReadOnly);
        _geometry.HasFlush = Has(BlockWire.Flush);

        uint segments = (uint)(Queue(0).Ring.MaximumBuffers - OverheadBuffers);
        uint limit = Has(BlockWire.SegmentMaximum) ? Transport.ReadConfiguration32(BlockWire.ConfigSegmentMaximum) : 1;
        // A device that says 0 means that it does not say (seen in the field); without the feature one segment is safe.
        _geometry.MaximumSegments = limit == 0 ? 1 : Math.Min(segments, limit);

        limit = Has(BlockWire.SizeMaximum) ? Transport.ReadConfiguration32(BlockWire.ConfigSizeMaximum) : LargestSegment;
        _geometry.MaximumSegmentSize = limit < SectorSize ? LargestSegment : Math.Min(limit, LargestSegment);
        ReadRangeLimits();
    }

    private uint ReadBlockSize()
    {
        uint size = Has(BlockWire.BlockSize) ? Transport.ReadConfiguration32(BlockWire.ConfigBlockSize) : SectorSize;
        return size is >= SectorSize and <= 4096 && BitOperations.IsPow2(size) ? size : SectorSize;
    }

    private uint ReadPhysicalBlockSize(uint logical)
    {
        int exponent = Has(BlockWire.Topology) ? Transport.ReadConfiguration8(BlockWire.ConfigPhysicalExponent) : 0;
        return exponent > 16 ? logical : logical << exponent;
    }

    private void ReadRangeLimits()
    {
        if (Has(BlockWire.Discard) && Transport.ReadConfiguration32(BlockWire.ConfigMaximumDiscardSegments) != 0)
        {
            _geometry.MaximumDiscardSectors = Transport.ReadConfiguration32(BlockWire.ConfigMaximumDiscardSectors);
            _geometry.DiscardGranularitySectors = Math.Max(
                Transport.ReadConfiguration32(BlockWire.ConfigDiscardAlignment), _geometry.LogicalBlockSize / SectorSize);
            _geometry.HasDiscard = _geometry.MaximumDiscardSectors != 0;
        }

        if (Has(BlockWire.WriteZeroes) && Transport.ReadConfiguration32(BlockWire.ConfigMaximumWriteZeroesSegments) != 0)
        {
            _geometry.MaximumWriteZeroesSectors = Transport.ReadConfiguration32(BlockWire.ConfigMaximumWriteZeroesSectors);
            _geometry.HasWriteZeroes = _geometry.MaximumWriteZeroesSectors != 0;
            WriteZeroesMayUnmap = Transport.ReadConfiguration8(BlockWire.ConfigWriteZeroesMayUnmap) != 0;
        }
    }

    // At boot nothing else runs: look at the ring until the answer is there, for a bounded time.
    private void ReadId()
    {
        if (!Queue(0).TrySubmitGetId(_idMemory!.Address))
        {
            return;
        }

        Kick(0);
        for (int i = 0; i < IdPolls && !_isIdKnown && !IsFailed; i++)
        {
            if (Queue(0).Ring.HasUsed)
            {
                HandleGroup(0);
            }

            Cpu.Pause();
        }
    }

    private void TakeId(BlockStatus status)
    {
        if (status == BlockStatus.Success && !_isIdKnown)
        {
            PhysicalMemory.Bytes(_idMemory!.Address, BlockWire.IdLength).CopyTo(_serial);
            int length = ((ReadOnlySpan<byte>)_serial).IndexOf((byte)0);
            _serialLength = length < 0 ? BlockWire.IdLength : length;
        }

        _isIdKnown = true;
    }
}
