using System;

namespace Blanket.Drivers.Virtio.Block;

/// <summary>A virtio disk, as backends see it. The device itself is <see cref="VirtioBlockDevice"/>.</summary>
internal sealed class VirtioBlock : BlockDevice
{
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
    public override void Refresh() => _device.Refresh();

    /// <inheritdoc/>
    public override bool TrySubmit(int queue, in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        BlockQueue target = _device.Queue(queue);
        if (_device.IsFailed)
        {
            return target.TryEndLocally(request.Tag, BlockStatus.Error);
        }

        // A request that the device would fail or must not see ends here (5.2.6.1).
        BlockStatus status = BlockRequestRules.Examine(in _device.Geometry, in request, segments);
        if (status != BlockStatus.Success)
        {
            return target.TryEndLocally(request.Tag, status);
        }

        uint type = TypeOf(request.Operation);
        uint flags = type == BlockWire.TypeWriteZeroes && _device.WriteZeroesMayUnmap ? BlockWire.FlagUnmap : 0;
        return target.TrySubmit(type, in request, flags, segments);
    }

    /// <inheritdoc/>
    public override void Kick(int queue) => _device.Kick(queue);

    private static uint TypeOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => BlockWire.TypeIn,
        BlockOperation.Write => BlockWire.TypeOut,
        BlockOperation.Flush => BlockWire.TypeFlush,
        BlockOperation.Discard => BlockWire.TypeDiscard,
        _ => BlockWire.TypeWriteZeroes,
    };
}
