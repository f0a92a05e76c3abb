using System;
using System.Collections.Generic;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>A disk in memory with a volatile cache: writes are durable once a flush that came after their end has ended.</summary>
internal sealed class FakeDisk : BlockDevice
{
    private readonly List<Pending> _pending = new();
    private BlockGeometry _geometry;

    internal FakeDisk(int sectors, int queues = 1)
    {
        Data = new byte[sectors * 512];
        Durable = new byte[sectors * 512];
        QueueCount = queues;
        _geometry = new BlockGeometry
        {
            Sectors = (ulong)sectors,
            LogicalBlockSize = 512,
            PhysicalBlockSize = 4096,
            MaximumSegments = 128,
            MaximumSegmentSize = 1 << 20,
            HasFlush = true,
            HasDiscard = true,
            MaximumDiscardSectors = 1 << 20,
            DiscardGranularitySectors = 8,
        };
    }

    internal byte[] Data { get; }

    /// <summary>What would be left after a power failure.</summary>
    internal byte[] Durable { get; }

    internal ref BlockGeometry Settings => ref _geometry;

    /// <summary>Requests that the queue takes before it is full.</summary>
    internal int Capacity { get; set; } = int.MaxValue;

    internal int PendingCount => _pending.Count;

    internal int Kicks { get; private set; }

    internal int Submitted { get; private set; }

    internal int MostSegments { get; private set; }

    internal List<BlockOperation> Log { get; } = new();

    public override ref readonly BlockGeometry Geometry => ref _geometry;

    public override int QueueCount { get; }

    public override ReadOnlySpan<byte> Serial => "fake"u8;

    public override bool TrySubmit(int queue, in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        Assert.InRange(queue, 0, QueueCount - 1);
        if (_pending.Count >= Capacity)
        {
            return false;
        }

        Validate(in request, segments);
        MostSegments = Math.Max(MostSegments, segments.Length);
        Submitted++;
        Log.Add(request.Operation);
        _pending.Add(new Pending(queue, request, segments.ToArray()));
        return true;
    }

    public override void Kick(int queue) => Kicks++;

    /// <summary>Carries out and ends one of the requests that wait.</summary>
    internal void Complete(int index, BlockStatus status = BlockStatus.Success)
    {
        Pending pending = _pending[index];
        bool wasFull = _pending.Count >= Capacity;
        _pending.RemoveAt(index);
        if (status == BlockStatus.Success)
        {
            CarryOut(pending);
        }

        Client!.Completed(pending.Request.Tag, status);
        Client!.CompletionsEnd(pending.Queue);
        if (wasFull)
        {
            Client!.RoomAvailable(pending.Queue);
        }
    }

    internal void CompleteAll()
    {
        while (_pending.Count > 0)
        {
            Complete(0);
        }
    }

    private void Validate(in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        bool isTransfer = request.Operation == BlockOperation.Read || request.Operation == BlockOperation.Write;
        Assert.Equal(isTransfer, segments.Length > 0);
        Assert.True(segments.Length <= _geometry.MaximumSegments);
        ulong bytes = 0;
        foreach (DmaSegment segment in segments)
        {
            Assert.InRange(segment.Length, 1u, _geometry.MaximumSegmentSize);
            Assert.True(segment.Address + segment.Length <= PhysicalMemory.Limit);
            bytes += segment.Length;
        }

        ulong sectors = isTransfer ? bytes / 512 : request.SectorCount;
        uint blockSectors = _geometry.LogicalBlockSize / 512;
        Assert.Equal(0ul, bytes % _geometry.LogicalBlockSize);
        if (request.Operation != BlockOperation.Flush)
        {
            Assert.True(request.Sector + sectors <= _geometry.Sectors);
            Assert.Equal(0ul, request.Sector % blockSectors);
            Assert.Equal(0ul, sectors % blockSectors);
        }

        if (request.Operation == BlockOperation.Discard)
        {
            Assert.InRange(sectors, 1ul, _geometry.MaximumDiscardSectors);
        }

        Assert.False(_geometry.IsReadOnly && request.Operation != BlockOperation.Read && request.Operation != BlockOperation.Flush);
    }

    private void CarryOut(Pending pending)
    {
        int position = (int)(pending.Request.Sector * 512);
        switch (pending.Request.Operation)
        {
            case BlockOperation.Flush:
                Data.CopyTo(Durable, 0);
                break;
            case BlockOperation.Discard:
                Array.Clear(Data, position, (int)(pending.Request.SectorCount * 512));
                break;
            default:
                foreach (DmaSegment segment in pending.Segments)
                {
                    Span<byte> memory = PhysicalMemory.Bytes(segment.Address, (int)segment.Length);
                    Span<byte> disk = Data.AsSpan(position, memory.Length);
                    if (pending.Request.Operation == BlockOperation.Read)
                    {
                        disk.CopyTo(memory);
                    }
                    else
                    {
                        memory.CopyTo(disk);
                    }

                    position += memory.Length;
                }

                break;
        }
    }

    private sealed record Pending(int Queue, BlockRequest Request, DmaSegment[] Segments);
}
