using System;
using Blanket.Drivers;

namespace Blanket.Backends;

/// <summary>A port of a switch that is one of L0's interfaces.</summary>
internal sealed class NicPort : SwitchPort
{
    private readonly NetworkSwitch _switch;
    private readonly NetworkDevice _device;
    private readonly NicQueue[] _queues;
    private readonly DeviceClient _client;

    internal NicPort(NetworkSwitch owner, NetworkDevice device)
    {
        _switch = owner;
        _device = device;
        _queues = new NicQueue[device.QueueCount];
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i] = new NicQueue(this, owner, device, i);
        }

        _client = new DeviceClient(this);
    }

    /// <summary>Takes memory for all queues; false, with none taken, when it is out.</summary>
    internal bool TryAllocate()
    {
        foreach (NicQueue queue in _queues)
        {
            if (!queue.TryAllocate())
            {
                Free();
                return false;
            }
        }

        return true;
    }

    /// <summary>Gives memory back; only for a port that was not started.</summary>
    internal void Free()
    {
        foreach (NicQueue queue in _queues)
        {
            queue.Free();
        }
    }

    /// <summary>Begins to receive.</summary>
    internal void Start()
    {
        _device.Client = _client;
        foreach (NicQueue queue in _queues)
        {
            queue.Refill();
            queue.Kick();
        }
    }

    /// <inheritdoc/>
    internal override bool CanChecksum(Packet packet) => _device.CanChecksum(in packet.Offload, in packet.Headers);

    /// <inheritdoc/>
    internal override bool CanSegment(SegmentationType type) => type switch
    {
        SegmentationType.TcpIpv4 => _device.Capabilities.TransmitChecksum && _device.Capabilities.TransmitTcpIpv4,
        SegmentationType.TcpIpv6 => _device.Capabilities.TransmitChecksum && _device.Capabilities.TransmitTcpIpv6,
        _ => false,
    };

    /// <inheritdoc/>
    internal override bool TryTake(Packet packet) =>
        FitsLink(packet) && packet.FragmentCount < Math.Min(_device.Capabilities.MaximumSegments, NicLimits.Segments)
        && _queues[(int)(packet.Headers.FlowHash % (uint)_queues.Length)].TrySend(packet);

    /// <inheritdoc/>
    internal override void EndBurst()
    {
        foreach (NicQueue queue in _queues)
        {
            queue.EndBurst();
        }
    }

    private bool FitsLink(Packet packet)
    {
        uint mtu = _device.Capabilities.Mtu;
        uint overhead = (uint)packet.Headers.Network;
        uint length = packet.Offload.Segmentation == SegmentationType.None
            ? packet.Length
            : (uint)packet.Offload.HeaderLength + packet.Offload.SegmentSize;
        return length <= mtu + overhead;
    }

    /// <summary>What L0's interface tells.</summary>
    private sealed class DeviceClient(NicPort port) : NetworkClient
    {
        public override void Received(int queue, ReadOnlySpan<uint> buffers, uint firstOffset, uint length, in PacketOffload offload)
        {
            if ((uint)queue < (uint)port._queues.Length)
            {
                port._queues[queue].Received(buffers, firstOffset, length, in offload);
            }
        }

        public override void ReceiveBufferReturned(int queue, uint tag)
        {
            if ((uint)queue < (uint)port._queues.Length)
            {
                port._queues[queue].Returned(tag);
            }
        }

        public override void Sent(int queue, uint tag)
        {
            if ((uint)queue < (uint)port._queues.Length)
            {
                port._queues[queue].Sent(tag);
            }
        }

        public override void InterruptEnd(int queue) => Continue(queue);

        public override void RoomAvailable(int queue) => Continue(queue);

        public override void LinkChanged()
        {
            // Nobody has to be told: guests' interfaces are ports of the switch, and those stay up.
        }

        private void Continue(int queue)
        {
            if ((uint)queue < (uint)port._queues.Length)
            {
                port._queues[queue].SendWaiting();
                port._switch.Touch(port.Index);
                port._switch.EndBurst();
            }
        }
    }
}
