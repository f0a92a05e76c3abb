using System;
using Blanket.Abi.Xen.Io;

namespace Blanket.Drivers.Xen.Block;

/// <summary>A virtual disk of Xen's, as backends see it. The device itself is <see cref="XenBlockDevice"/>.</summary>
internal sealed class XenBlock(XenBlockDevice device) : BlockDevice
{
    /// <inheritdoc/>
    public override ref readonly BlockGeometry Geometry => ref device.Geometry;

    /// <inheritdoc/>
    public override int QueueCount => device.QueueCount;

    /// <inheritdoc/>
    /// <remarks>vbds have none: their numbers tell them apart.</remarks>
    public override ReadOnlySpan<byte> Serial => default;

    /// <inheritdoc/>
    public override bool TrySubmit(int queue, in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        int served = device.Route(queue);
        BlockQueue target = device.Queue(served);
        BlockStatus status = device.IsFailed ? BlockStatus.Error : BlockRequestRules.Examine(in device.Geometry, in request, segments);
        if (status == BlockStatus.Success && !BlockPieceReader.IsAligned(segments))
        {
            status = BlockStatus.Error;
        }

        if (status != BlockStatus.Success)
        {
            return target.TryEndLocally(request.Tag, status);
        }

        bool isTaken = target.TrySubmit(OperationOf(request.Operation), in request, segments);
        if (isTaken && served != device.Route(queue))
        {
            // The device was opened again meanwhile: the client's Kick would reach another queue.
            device.KickQueue(served);
        }

        return isTaken;
    }

    /// <inheritdoc/>
    public override void Kick(int queue) => device.KickQueue(device.Route(queue));

    private BlkifOperation OperationOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => BlkifOperation.Read,
        BlockOperation.Flush => device.FlushOperation,
        BlockOperation.Discard => BlkifOperation.Discard,
        _ => BlkifOperation.Write,
    };
}
