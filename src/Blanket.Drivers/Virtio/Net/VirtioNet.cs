using System;

namespace Blanket.Drivers.Virtio.Net;

/// <summary>A virtio network interface, as its users see it. The device itself is <see cref="VirtioNetDevice"/>.</summary>
internal sealed class VirtioNet(VirtioNetDevice device) : NetworkDevice
{
    /// <inheritdoc/>
    public override ReadOnlySpan<byte> MacAddress => device.MacAddress;

    /// <inheritdoc/>
    public override bool IsLinkUp => device.IsLinkUp;

    /// <inheritdoc/>
    public override ref readonly NetworkCapabilities Capabilities => ref device.Capabilities;

    /// <inheritdoc/>
    public override int QueueCount => device.GroupCount;

    /// <inheritdoc/>
    public override int ReceiveCapacity(int queue) => device.Receive(queue).Capacity;

    /// <inheritdoc/>
    public override bool TrySend(int queue, ReadOnlySpan<DmaSegment> segments, in PacketOffload offload, uint tag)
    {
        NetTransmitQueue target = device.Transmit(queue);
        if (device.IsFailed || !device.TryExamine(segments, in offload, out NetHeader header))
        {
            // Networks lose packets; the layers above notice.
            return target.TryDrop(tag);
        }

        return device.MayTransmit(queue) ? target.TrySend(in header, segments, tag) : target.TryLater();
    }

    /// <inheritdoc/>
    public override bool TrySupplyReceiveBuffer(int queue, ulong address, uint tag) =>
        !device.IsFailed && device.Receive(queue).TrySupply(address, tag);

    /// <inheritdoc/>
    public override void Kick(int queue) => device.Kick(queue);
}
