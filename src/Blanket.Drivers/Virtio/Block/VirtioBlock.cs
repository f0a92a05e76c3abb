using System;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Block;

/// <summary>A virtio disk, as backends see it. The device itself is <see cref="VirtioBlockDevice"/>.</summary>
internal sealed class VirtioBlock : BlockDevice
{
    private const int SectorShift = 9;
    private readonly VirtioBlockDevice _device;

    public VirtioBlock(VirtioBlockDevice device)
    {
        _device = device;
    }

    /// <inheritdoc/>
    public override ref readonly BlockGeometry Geometry => ref _device.Geometry;

    /// <inheritdoc/>
    public override int QueueCount => _device.GroupCount;

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Serial => _device.Serial;

    /// <inheritdoc/>
    public override bool TrySubmit(int queue, in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        BlockQueue target = _device.Queue(queue);
        if (_device.IsFailed)
        {
            return target.TryEndLocally(request.Tag, BlockStatus.Error);
        }

        BlockStatus status = Examine(in request, segments, out uint type);
        if (status != BlockStatus.Success)
        {
            return target.TryEndLocally(request.Tag, status);
        }

        uint flags = type == BlockWire.TypeWriteZeroes && _device.WriteZeroesMayUnmap ? BlockWire.FlagUnmap : 0;
        return target.TrySubmit(type, in request, flags, segments);
    }

    /// <inheritdoc/>
    public override void Kick(int queue) => _device.Kick(queue);

    // A request that the device would fail or must not see ends here (5.2.6.1).
    private BlockStatus Examine(in BlockRequest request, ReadOnlySpan<DmaSegment> segments, out uint type)
    {
        ref readonly BlockGeometry geometry = ref _device.Geometry;
        bool isChange = request.Operation != BlockOperation.Read && request.Operation != BlockOperation.Flush;
        type = 0;
        if (isChange && geometry.IsReadOnly)
        {
            return BlockStatus.Error;
        }

        switch (request.Operation)
        {
            case BlockOperation.Read:
                type = BlockWire.TypeIn;
                return ExamineData(in geometry, request.Sector, segments);
            case BlockOperation.Write:
                type = BlockWire.TypeOut;
                return ExamineData(in geometry, request.Sector, segments);
            case BlockOperation.Flush:
                type = BlockWire.TypeFlush;
                return !geometry.HasFlush ? BlockStatus.Unsupported : ExamineNone(segments);
            case BlockOperation.Discard:
                type = BlockWire.TypeDiscard;
                return !geometry.HasDiscard ? BlockStatus.Unsupported
                    : ExamineRange(in geometry, in request, geometry.MaximumDiscardSectors, segments);
            case BlockOperation.WriteZeroes:
                type = BlockWire.TypeWriteZeroes;
                return !geometry.HasWriteZeroes ? BlockStatus.Unsupported
                    : ExamineRange(in geometry, in request, geometry.MaximumWriteZeroesSectors, segments);
            default:
                return BlockStatus.Unsupported;
        }
    }

    private static BlockStatus ExamineData(in BlockGeometry geometry, ulong sector, ReadOnlySpan<DmaSegment> segments)
    {
        ulong bytes = 0;
        if (segments.Length == 0 || (uint)segments.Length > geometry.MaximumSegments)
        {
            return BlockStatus.Error;
        }

        for (int i = 0; i < segments.Length; i++)
        {
            uint length = segments[i].Length;
            if (length == 0 || length > geometry.MaximumSegmentSize)
            {
                return BlockStatus.Error;
            }

            bytes += length;
        }

        return (bytes & (geometry.LogicalBlockSize - 1)) != 0 ? BlockStatus.Error : ExamineEnd(in geometry, sector, bytes >> SectorShift);
    }

    private static BlockStatus ExamineRange(
        in BlockGeometry geometry, in BlockRequest request, uint maximum, ReadOnlySpan<DmaSegment> segments) =>
        request.SectorCount == 0 || request.SectorCount > maximum || segments.Length != 0
            ? BlockStatus.Error
            : ExamineEnd(in geometry, request.Sector, request.SectorCount);

    private static BlockStatus ExamineEnd(in BlockGeometry geometry, ulong sector, ulong count)
    {
        ulong blockSectors = geometry.LogicalBlockSize >> SectorShift;
        ulong capacity = geometry.Sectors;
        return sector <= capacity && count <= capacity - sector && ((sector | count) & (blockSectors - 1)) == 0
            ? BlockStatus.Success
            : BlockStatus.Error;
    }

    private static BlockStatus ExamineNone(ReadOnlySpan<DmaSegment> segments) =>
        segments.Length == 0 ? BlockStatus.Success : BlockStatus.Error;
}
