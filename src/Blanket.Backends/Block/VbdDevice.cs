using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Domains;
using Blanket.Drivers;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Backends;

/// <summary>
/// A virtual disk of a guest (io/blkif.h) on one of L0's disks. The frontend's rings are served one for one by the queues of L0's disk.
/// </summary>
public sealed class VbdDevice : XenbusBackend
{
    private const int BitsOfSlot = 8;

    private readonly BlockDevice _device;
    private readonly VbdSettings _settings;
    private readonly BlockRing[] _rings;
    private int _attachedRings;
    private int _sectorShift = 9;
    private ulong _publishedSectors;
    private bool _publishedReadOnly;
    private int _geometryChanged;

    private VbdDevice(BackendBus bus, BackendOwner owner, Domain domain, BlockDevice device, in VbdSettings settings)
        : base(bus, owner, domain, "vbd"u8, settings.VirtualDevice)
    {
        _device = device;
        _settings = settings;

        // Limits are one ring's, so that no CPU waits for another to count.
        _rings = new BlockRing[settings.IsLimited ? 1 : Math.Min(device.QueueCount, BlockLimits.MaximumQueues)];
        for (int i = 0; i < _rings.Length; i++)
        {
            _rings[i] = new BlockRing(bus, this, device, i);
        }

        device.Client = new DeviceClient(this);
    }

    /// <summary>Whether writes are refused.</summary>
    internal bool IsReadOnly => _settings.IsReadOnly || _device.Geometry.IsReadOnly;

    /// <summary>Whether discards are served.</summary>
    internal bool OffersDiscard => !_settings.NoDiscard && _device.Geometry.HasDiscard && _device.Geometry.MaximumDiscardSectors != 0;

    /// <inheritdoc/>
    public override bool TryDescribe(out ManagementDevice device)
    {
        device = new ManagementDevice { Kind = ManagementDeviceKind.Disk, DeviceId = DeviceId };
        foreach (BlockRing ring in _rings)
        {
            ref readonly BlockStatistics statistics = ref ring.Statistics;
            device.InCount += statistics.Reads;
            device.InBytes += statistics.ReadBytes;
            device.OutCount += statistics.Writes;
            device.OutBytes += statistics.WrittenBytes;
            device.Failed += statistics.Failed;
            device.Other += statistics.Flushes;
        }

        return true;
    }

    /// <inheritdoc/>
    internal override ulong WakeTime
    {
        get
        {
            ulong wake = BackendBus.Never;
            foreach (BlockRing ring in _rings)
            {
                wake = Math.Min(wake, ring.WakeTime);
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
            for (int i = 0; i < _attachedRings; i++)
            {
                isBroken |= _rings[i].IsBroken;
            }

            return isBroken;
        }
    }

    /// <summary>
    /// Gives a guest a disk: writes what a toolstack writes for it and starts its backend. Creates objects, in the caller's arena.
    /// </summary>
    /// <param name="bus">The machine's backends.</param>
    /// <param name="owner">Who is told when the device is gone.</param>
    /// <param name="domain">The guest, which xenstore knows.</param>
    /// <param name="device">L0's disk, which nobody else uses.</param>
    /// <param name="settings">How the guest sees it.</param>
    /// <param name="vbd">The device; null on an error.</param>
    /// <returns>0, -EBUSY (the disk is used), -ENOSPC (too many devices, or xenstore is full).</returns>
    public static int Create(
        BackendBus bus, BackendOwner owner, Domain domain, BlockDevice device, in VbdSettings settings, out VbdDevice? vbd)
    {
        vbd = null;
        if (device.Client != null)
        {
            return -Errno.EBUSY;
        }

        VbdDevice created = new(bus, owner, domain, device, in settings);
        if (!created.TryWriteNodes() || !created.TryStart())
        {
            created.Frontend.Remove();
            created.Backend.Remove();
            device.Client = null;
            return -Errno.ENOSPC;
        }

        vbd = created;
        return 0;
    }

    /// <summary>Name of a request of a ring for the device.</summary>
    internal uint Tag(int ring, int slot) => ((uint)ring << BitsOfSlot) | (uint)slot;

    /// <inheritdoc/>
    private protected override void PublishFeatures()
    {
        ref readonly BlockGeometry geometry = ref _device.Geometry;
        Backend.Write("max-ring-page-order"u8, BlockLimits.MaximumRingOrder);
        Backend.Write("multi-queue-max-queues"u8, (ulong)_rings.Length);
        Backend.Write("feature-max-indirect-segments"u8, BlockLimits.MaximumIndirectSegments);
        Backend.Write("feature-persistent"u8, false);
        Backend.Write("feature-flush-cache"u8, geometry.HasFlush);
        Backend.Write("feature-barrier"u8, geometry.HasFlush);
        Backend.Write("feature-discard"u8, OffersDiscard);
        if (OffersDiscard)
        {
            ulong granularity = Math.Max((ulong)geometry.DiscardGranularitySectors * 512, geometry.LogicalBlockSize);
            Backend.Write("discard-granularity"u8, granularity);
            Backend.Write("discard-alignment"u8, 0);
            Backend.Write("discard-secure"u8, false);
        }
    }

    /// <inheritdoc/>
    private protected override int Attach()
    {
        if (!TryReadLayout(out BlkifLayout layout) || !TryReadLimit("ring-page-order"u8, BlockLimits.MaximumRingOrder, 0, out uint order)
            || !TryReadLimit("multi-queue-num-queues"u8, (uint)_rings.Length, 1, out uint queues) || queues == 0)
        {
            return -Errno.EINVAL;
        }

        // Linux counts sectors of 512 bytes whatever sector-size says; only this node says that the frontend does not.
        uint blockSize = _device.Geometry.LogicalBlockSize;
        _sectorShift = Frontend.ReadFlag("feature-large-sector-size"u8) ? System.Numerics.BitOperations.Log2(blockSize) : 9;
        for (int i = 0; i < queues; i++)
        {
            int error = AttachRing(i, queues > 1, 1 << (int)order, layout);
            if (error != 0)
            {
                return error;
            }

            _attachedRings = i + 1;
        }

        PublishProperties();
        return 0;
    }

    /// <inheritdoc/>
    private protected override void BeginDetach()
    {
        for (int i = 0; i < _attachedRings; i++)
        {
            _rings[i].BeginDetach();
        }
    }

    /// <inheritdoc/>
    private protected override bool TryFinishDetach()
    {
        while (_attachedRings > 0)
        {
            if (!_rings[_attachedRings - 1].TryFinishDetach())
            {
                return false;
            }

            _attachedRings--;
        }

        return true;
    }

    /// <inheritdoc/>
    private protected override void ProcessRings()
    {
        for (int i = 0; i < _rings.Length; i++)
        {
            _rings[i].WakeIfDue();
        }
    }

    /// <inheritdoc/>
    private protected override void UpdateProperties()
    {
        if (Interlocked.Exchange(ref _geometryChanged, 0) == 0
            || (_publishedSectors == _device.Geometry.Sectors && _publishedReadOnly == IsReadOnly))
        {
            return;
        }

        // A frontend reads the size again whenever the backend's state is written (blkfront's blkback_changed).
        PublishProperties();
        WriteState(XenbusState.Connected);
    }

    /// <inheritdoc/>
    private protected override void Release() => _device.Client = null;

    private bool TryWriteNodes()
    {
        ushort guest = Domain.Id;
        ushort services = DomainId.Services;
        return Backend.Create(services, guest) == XenStoreError.None
            && Backend.Write("frontend"u8, Frontend.Path) == XenStoreError.None
            && Backend.Write("frontend-id"u8, guest) == XenStoreError.None
            && Backend.Write("online"u8, true) == XenStoreError.None
            && Backend.Write("removable"u8, false) == XenStoreError.None
            && Backend.Write("bootable"u8, true) == XenStoreError.None
            && Backend.Write("type"u8, "phy"u8) == XenStoreError.None
            && Backend.Write("mode"u8, IsReadOnly ? "r"u8 : "w"u8) == XenStoreError.None
            && Backend.Write("device-type"u8, "disk"u8) == XenStoreError.None
            && Backend.Write("discard-enable"u8, !_settings.NoDiscard) == XenStoreError.None
            && Backend.Write("state"u8, (ulong)XenbusState.Initialising) == XenStoreError.None
            && Frontend.Create(guest, services) == XenStoreError.None
            && Frontend.Write("backend"u8, Backend.Path) == XenStoreError.None
            && Frontend.Write("backend-id"u8, services) == XenStoreError.None
            && Frontend.Write("virtual-device"u8, _settings.VirtualDevice) == XenStoreError.None
            && Frontend.Write("device-type"u8, "disk"u8) == XenStoreError.None
            && Frontend.Write("trusted"u8, true) == XenStoreError.None
            && Frontend.Write("state"u8, (ulong)XenbusState.Initialising) == XenStoreError.None;
    }

    private void PublishProperties()
    {
        ref readonly BlockGeometry geometry = ref _device.Geometry;
        ulong sectors = geometry.Sectors;
        bool isReadOnly = IsReadOnly;
        Backend.Write("sectors"u8, sectors >> (_sectorShift - 9));
        Backend.Write("sector-size"u8, geometry.LogicalBlockSize);
        Backend.Write("physical-sector-size"u8, Math.Max(geometry.PhysicalBlockSize, geometry.LogicalBlockSize));
        Backend.Write("info"u8, isReadOnly ? Blkif.InfoReadOnly : 0);
        Backend.Write("mode"u8, isReadOnly ? "r"u8 : "w"u8);
        _publishedSectors = sectors;
        _publishedReadOnly = isReadOnly;
    }

    private bool TryReadLayout(out BlkifLayout layout)
    {
        layout = BlkifLayout.Bits64;
        Span<byte> value = stackalloc byte[NodeDirectory.MaximumValue];
        if (!Frontend.TryRead("protocol"u8, value, out int length))
        {
            return true;
        }

        ReadOnlySpan<byte> name = value.Slice(0, length);
        if (name.SequenceEqual(ProtocolName.X86Bits32))
        {
            layout = BlkifLayout.Bits32;
            return true;
        }

        return name.SequenceEqual(ProtocolName.X86Bits64);
    }

    private bool TryReadLimit(ReadOnlySpan<byte> name, uint maximum, uint missing, out uint value)
    {
        if (Frontend.TryRead(name, out value))
        {
            return value <= maximum;
        }

        value = missing;
        return true;
    }

    private int AttachRing(int index, bool hasDirectory, int pages, BlkifLayout layout)
    {
        Span<uint> references = stackalloc uint[BlockLimits.MaximumRingPages];
        if (!TryReadReferences(index, hasDirectory, references.Slice(0, pages))
            || !TryReadRingNode(index, hasDirectory, "event-channel"u8, out uint port))
        {
            return -Errno.EINVAL;
        }

        return _rings[index].Attach(references.Slice(0, pages), port, layout, _sectorShift, in _settings);
    }

    private bool TryReadReferences(int index, bool hasDirectory, Span<uint> references)
    {
        if (references.Length == 1 && TryReadRingNode(index, hasDirectory, "ring-ref"u8, out references[0]))
        {
            return true;
        }

        PathBuilder name = new(stackalloc byte[16]);
        name.Append("ring-ref"u8);
        int prefix = name.Length;
        for (int page = 0; page < references.Length; page++)
        {
            name.Truncate(prefix);
            name.AppendDecimal((uint)page);
            if (!TryReadRingNode(index, hasDirectory, name.Text, out references[page]))
            {
                return false;
            }
        }

        return true;
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

    /// <summary>What L0's disk tells.</summary>
    private sealed class DeviceClient(VbdDevice vbd) : BlockClient
    {
        public override void Completed(uint tag, BlockStatus status)
        {
            uint ring = tag >> BitsOfSlot;
            uint slot = tag & ((1 << BitsOfSlot) - 1);
            if (ring < (uint)vbd._rings.Length && slot < BlockRing.MaximumSlots)
            {
                vbd._rings[(int)ring].Ended((int)slot, status);
            }
        }

        public override void CompletionsEnd(int queue) => Wake(queue);

        public override void RoomAvailable(int queue) => Wake(queue);

        public override void GeometryChanged()
        {
            Volatile.Write(ref vbd._geometryChanged, 1);
            vbd.Notice();
        }

        private void Wake(int queue)
        {
            if ((uint)queue < (uint)vbd._rings.Length)
            {
                vbd._rings[queue].Kick();
            }
        }
    }
}
