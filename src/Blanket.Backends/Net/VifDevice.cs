using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Domains;
using Blanket.Drivers;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Backends;

/// <summary>A virtual network interface of a guest (io/netif.h) at a port of a switch.</summary>
public sealed class VifDevice : XenbusBackend
{
    private readonly VifSettings _settings;
    private readonly NetworkSwitch _switch;
    private readonly VifQueue[] _queues;
    private VifFeatures _features;
    private int _attachedQueues;

    private VifDevice(BackendBus bus, BackendOwner owner, Domain domain, NetworkSwitch network, in VifSettings settings)
        : base(bus, owner, domain, "vif"u8, settings.DeviceId)
    {
        _settings = settings;
        _switch = network;

        // A limit is the interface's, not a queue's.
        int queues = settings.RateBytes != 0 ? 1 : Math.Max(1, Math.Min(domain.Vcpus.Length, NetLimits.MaximumQueues));
        _queues = new VifQueue[queues];
        for (int i = 0; i < queues; i++)
        {
            _queues[i] = new VifQueue(bus, this, network);
        }

        Port = new GuestPort(this) { Filter = settings.Filter };
    }

    /// <summary>What passed through the interface's port of the switch: "in" is what the guest sends.</summary>
    public PortStatistics Statistics => Port.Statistics;

    /// <inheritdoc/>
    public override bool TryDescribe(out ManagementDevice device)
    {
        PortStatistics statistics = Statistics;
        device = new ManagementDevice
        {
            Kind = ManagementDeviceKind.Vif,
            DeviceId = DeviceId,
            InCount = statistics.PacketsOut,
            InBytes = statistics.BytesOut,
            OutCount = statistics.PacketsIn,
            OutBytes = statistics.BytesIn,
            Failed = statistics.DroppedOut,
            Other = statistics.RejectedIn,
        };
        return true;
    }

    /// <summary>The port of the switch.</summary>
    internal SwitchPort Port { get; }

    /// <inheritdoc/>
    internal override ulong WakeTime
    {
        get
        {
            ulong wake = BackendBus.Never;
            foreach (VifQueue queue in _queues)
            {
                wake = Math.Min(wake, Math.Min(queue.Transmit.WakeTime, queue.Receive.WakeTime));
            }

            return wake;
        }
    }

    /// <inheritdoc/>
    private protected override bool IsBroken
    {
        get
        {
            bool isBroken = false;
            for (int i = 0; i < _attachedQueues; i++)
            {
                isBroken |= _queues[i].Transmit.IsBroken || _queues[i].Receive.IsBroken;
            }

            return isBroken;
        }
    }

    /// <summary>Gives a guest a network interface: writes what a toolstack writes for it and starts its backend. Creates objects, in the caller's arena.</summary>
    /// <param name="bus">The machine's backends.</param>
    /// <param name="owner">Who is told when the device is gone.</param>
    /// <param name="domain">The guest, which xenstore knows.</param>
    /// <param name="network">The switch that it is connected to.</param>
    /// <param name="settings">How the guest sees it.</param>
    /// <param name="vif">The device; null on an error.</param>
    /// <returns>0, -ENOMEM, -EEXIST (the address is another port's), -ENOSPC (too many ports or devices, or xenstore is full).</returns>
    public static int Create(
        BackendBus bus, BackendOwner owner, Domain domain, NetworkSwitch network, in VifSettings settings, out VifDevice? vif)
    {
        vif = null;
        VifDevice created = new(bus, owner, domain, network, in settings);
        int error = created.Start();
        if (error == 0)
        {
            vif = created;
        }

        return error;
    }

    /// <inheritdoc/>
    private protected override void PublishFeatures()
    {
        Backend.Write("feature-sg"u8, true);
        Backend.Write("feature-gso-tcpv4"u8, true);
        Backend.Write("feature-gso-tcpv6"u8, true);
        Backend.Write("feature-ipv6-csum-offload"u8, true);
        Backend.Write("feature-rx-copy"u8, true);
        Backend.Write("feature-rx-flip"u8, false);
        Backend.Write("feature-split-event-channels"u8, true);
        Backend.Write("multi-queue-max-queues"u8, (ulong)_queues.Length);
    }

    /// <inheritdoc/>
    private protected override int Attach()
    {
        if (!Frontend.ReadFlag("request-rx-copy"u8))
        {
            return -Errno.EOPNOTSUPP;
        }

        if (!Frontend.TryRead("multi-queue-num-queues"u8, out uint queues))
        {
            queues = 1;
        }

        if (queues == 0 || queues > (uint)_queues.Length)
        {
            return -Errno.EINVAL;
        }

        _features = VifFeatures.Read(Frontend);
        for (int i = 0; i < queues; i++)
        {
            int error = AttachQueue(i, queues > 1);
            if (error != 0)
            {
                return error;
            }
        }

        return 0;
    }

    /// <inheritdoc/>
    private protected override void BeginDetach()
    {
        for (int i = 0; i < _attachedQueues; i++)
        {
            _queues[i].BeginDetach();
        }
    }

    /// <inheritdoc/>
    private protected override bool TryFinishDetach()
    {
        while (_attachedQueues > 0)
        {
            if (!_queues[_attachedQueues - 1].TryFinishDetach())
            {
                return false;
            }

            _attachedQueues--;
        }

        return true;
    }

    /// <inheritdoc/>
    private protected override void ProcessRings()
    {
        foreach (VifQueue queue in _queues)
        {
            queue.EndBurst();
        }
    }

    /// <inheritdoc/>
    private protected override void UpdateProperties()
    {
    }

    /// <inheritdoc/>
    private protected override void Release()
    {
        _switch.Remove(Port);
        FreeMemory();
    }

    private int Start()
    {
        foreach (VifQueue queue in _queues)
        {
            if (!queue.Transmit.TryAllocate())
            {
                FreeMemory();
                return -Errno.ENOMEM;
            }
        }

        if (!_switch.TryAdd(Port))
        {
            FreeMemory();
            return -Errno.ENOSPC;
        }

        int error = !_switch.TryFixAddress(Port, _settings.Address) ? -Errno.EEXIST : !TryWriteNodes() || !TryStart() ? -Errno.ENOSPC : 0;
        if (error != 0)
        {
            Frontend.Remove();
            Backend.Remove();
            Release();
        }

        return error;
    }

    private void FreeMemory()
    {
        foreach (VifQueue queue in _queues)
        {
            queue.Transmit.Free();
        }
    }

    private int AttachQueue(int index, bool hasDirectory)
    {
        VifQueue queue = _queues[index];
        if (!TryReadRingNode(index, hasDirectory, "tx-ring-ref"u8, out uint transmit)
            || !TryReadRingNode(index, hasDirectory, "rx-ring-ref"u8, out uint receive)
            || !TryReadPorts(index, hasDirectory, out uint transmitPort, out uint receivePort))
        {
            return -Errno.EINVAL;
        }

        _attachedQueues = index + 1;
        PacedClock rate = PacedClock.FromInterval(_settings.RateBytes, _settings.RateIntervalMicroseconds);
        int error = queue.Transmit.Attach(transmit, in rate);
        if (error == 0)
        {
            error = queue.Receive.Attach(receive, in _features);
        }

        return error == 0 ? queue.Start(this, transmitPort, receivePort) : error;
    }

    private bool TryReadPorts(int index, bool hasDirectory, out uint transmit, out uint receive)
    {
        receive = 0;
        if (TryReadRingNode(index, hasDirectory, "event-channel-tx"u8, out transmit))
        {
            return TryReadRingNode(index, hasDirectory, "event-channel-rx"u8, out receive);
        }

        bool found = TryReadRingNode(index, hasDirectory, "event-channel"u8, out transmit);
        receive = transmit;
        return found;
    }

    private bool TryReadRingNode(int index, bool hasDirectory, ReadOnlySpan<byte> name, out uint value)
    {
        if (!hasDirectory)
        {
            return Frontend.TryRead(name, out value);
        }

        PathBuilder path = new(stackalloc byte[NodeDirectory.MaximumValue]);
        path.Append("queue-"u8);
        path.AppendDecimal((uint)index);
        path.AppendName(name);
        return Frontend.TryRead(path.Text, out value);
    }

    private bool TryWriteNodes()
    {
        ushort guest = Domain.Id;
        ushort services = DomainId.Services;
        PathBuilder mac = new(stackalloc byte[MacAddress.Size * 3]);
        for (int i = 0; i < MacAddress.Size; i++)
        {
            if (i != 0)
            {
                mac.Append((byte)':');
            }

            mac.AppendHex(_settings.Address[i], 2);
        }

        return Backend.Create(services, guest) == XenStoreError.None
            && Backend.Write("frontend"u8, Frontend.Path) == XenStoreError.None
            && Backend.Write("frontend-id"u8, guest) == XenStoreError.None
            && Backend.Write("online"u8, true) == XenStoreError.None
            && Backend.Write("mac"u8, mac.Text) == XenStoreError.None
            && Backend.Write("handle"u8, _settings.DeviceId) == XenStoreError.None
            && Backend.Write("type"u8, "vif"u8) == XenStoreError.None
            && Backend.Write("hotplug-status"u8, "connected"u8) == XenStoreError.None
            && TryWriteRate()
            && Backend.Write("state"u8, (ulong)XenbusState.Initialising) == XenStoreError.None
            && Frontend.Create(guest, services) == XenStoreError.None
            && Frontend.Write("backend"u8, Backend.Path) == XenStoreError.None
            && Frontend.Write("backend-id"u8, services) == XenStoreError.None
            && Frontend.Write("handle"u8, _settings.DeviceId) == XenStoreError.None
            && Frontend.Write("mac"u8, mac.Text) == XenStoreError.None
            && Frontend.Write("trusted"u8, true) == XenStoreError.None
            && TryWriteMtu()
            && Frontend.Write("state"u8, (ulong)XenbusState.Initialising) == XenStoreError.None;
    }

    private bool TryWriteRate()
    {
        if (_settings.RateBytes == 0)
        {
            return true;
        }

        PathBuilder rate = new(stackalloc byte[PathBuilder.DecimalMax * 2 + 1]);
        rate.AppendDecimal(_settings.RateBytes);
        rate.Append((byte)',');
        rate.AppendDecimal(_settings.RateIntervalMicroseconds);
        return Backend.Write("rate"u8, rate.Text) == XenStoreError.None;
    }

    private bool TryWriteMtu() =>
        _settings.Mtu == 0
        || (Backend.Write("mtu"u8, _settings.Mtu) == XenStoreError.None
            && Frontend.Write("mtu"u8, _settings.Mtu) == XenStoreError.None
            && Frontend.SetPermissions("mtu"u8, DomainId.Services, Domain.Id) == XenStoreError.None);

    /// <summary>The guest's side of the switch's port.</summary>
    private sealed class GuestPort(VifDevice vif) : SwitchPort
    {
        internal override bool CanChecksum(Packet packet) => vif._features.CanChecksum(packet);

        internal override bool CanSegment(SegmentationType type) => vif._features.CanSegment(type);

        internal override bool TryTake(Packet packet)
        {
            int queues = vif._attachedQueues;
            return queues != 0 && (packet.Length <= NetLimits.SlotSize || vif._features.ScatterGather)
                && vif._queues[(int)(packet.Headers.FlowHash % (uint)queues)].Receive.TryTake(packet);
        }

        internal override void EndBurst()
        {
            foreach (VifQueue queue in vif._queues)
            {
                queue.EndBurst();
            }
        }
    }
}
