using System;
using Blanket.Abi.Xen.Io;

namespace Blanket.Drivers.Xen.Net;

/// <summary>A network interface of Xen's, as its users see it. The device itself is <see cref="XenNetDevice"/>.</summary>
internal sealed class XenNet(XenNetDevice device) : NetworkDevice
{
    /// <inheritdoc/>
    public override ReadOnlySpan<byte> MacAddress => device.MacAddress;

    /// <inheritdoc/>
    /// <remarks>io/netif.h knows no link: it is up while a backend serves the device.</remarks>
    public override bool IsLinkUp => device.IsConnected;

    /// <inheritdoc/>
    public override ref readonly NetworkCapabilities Capabilities => ref device.Capabilities;

    /// <inheritdoc/>
    public override int QueueCount => device.QueueCount;

    /// <inheritdoc/>
    public override int ReceiveCapacity(int queue) => NetReceiveQueue.Capacity;

    /// <inheritdoc/>
    public override bool CanChecksum(in PacketOffload offload, in PacketHeaders headers) =>
        NetifOffload.CanSay(in offload, in headers) && (headers.IsIpv4 ? device.Capabilities.TransmitChecksum : device.TransmitsIpv6Checksum);

    /// <inheritdoc/>
    public override bool TrySend(int queue, ReadOnlySpan<DmaSegment> segments, in PacketOffload offload, uint tag)
    {
        int served = device.Route(queue);
        NetTransmitQueue target = device.Transmit(served);
        if (device.IsFailed || !device.TryExamine(segments, in offload, out NetifTransmitFlags flags, out NetifExtraInfo extra, out uint length))
        {
            // Networks lose packets; the layers above notice.
            return target.TryDrop(tag, queue);
        }

        bool isTaken = target.TrySend(flags, in extra, segments, length, tag, queue);
        if (isTaken && served != device.Route(queue))
        {
            // The device was opened again meanwhile: the client's Kick would reach another queue.
            device.KickPair(served);
        }

        return isTaken;
    }

    /// <inheritdoc/>
    public override bool TrySupplyReceiveBuffer(int queue, ulong address, uint tag) => device.Receive(queue).TrySupply(address, tag);

    /// <inheritdoc/>
    public override void Kick(int queue)
    {
        int served = device.Route(queue);
        device.KickPair(served);
        if (served != queue)
        {
            // Buffers stay with their own queue.
            device.KickPair(queue);
        }
    }
}
