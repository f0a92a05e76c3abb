using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>A device of virtio 1.0 or later: register windows that vendor capabilities point at (virtio 1.2, 4.1.4).</summary>
internal sealed class ModernTransport : VirtioTransport
{
    // struct virtio_pci_common_cfg (4.1.4.3).
    private const uint DeviceFeatureSelect = 0;
    private const uint DeviceFeature = 4;
    private const uint DriverFeatureSelect = 8;
    private const uint DriverFeature = 12;
    private const uint ConfigurationVector = 16;
    private const uint QueueCountField = 18;
    private const uint DeviceStatus = 20;
    private const uint Generation = 21;
    private const uint QueueSelect = 22;
    private const uint QueueSize = 24;
    private const uint QueueVector = 26;
    private const uint QueueEnable = 28;
    private const uint QueueNotifyOffset = 30;
    private const uint QueueDescriptors = 32;
    private const uint QueueDriver = 40;
    private const uint QueueDevice = 48;
    private const uint CommonSize = 56;

    // struct virtio_pci_cap (4.1.4).
    private const int CapabilityLength = 2;
    private const int CapabilityType = 3;
    private const int CapabilityBar = 4;
    private const int CapabilityOffset = 8;
    private const int CapabilitySize = 12;
    private const int CapabilityMultiplier = 16;
    private const int MinimumCapability = 16;
    private const int NotifyCapability = 20;

    private const byte TypeCommon = 1;
    private const byte TypeNotify = 2;
    private const byte TypeInterruptStatus = 3;
    private const byte TypeDevice = 4;

    // Longer windows are cut: nothing behind that is used.
    private const uint MaximumWindow = 1 << 20;

    private readonly DeviceRegisters _common;
    private readonly DeviceRegisters _notify;
    private readonly DeviceRegisters _interruptStatus;
    private readonly DeviceRegisters _device;
    private readonly uint _multiplier;

    private ModernTransport(
        DeviceRegisters common, DeviceRegisters notify, DeviceRegisters interruptStatus, DeviceRegisters device, uint multiplier)
    {
        _common = common;
        _notify = notify;
        _interruptStatus = interruptStatus;
        _device = device;
        _multiplier = multiplier;
    }

    /// <inheritdoc/>
    public override bool IsModern => true;

    /// <inheritdoc/>
    public override ulong RingAddressLimit => ulong.MaxValue;

    /// <inheritdoc/>
    protected override DeviceRegisters DeviceConfiguration => _device;

    /// <inheritdoc/>
    public override byte Status
    {
        get => _common.Read8(DeviceStatus);
        set => _common.Write8(DeviceStatus, value);
    }

    /// <summary>Maps the windows; null when the function offers no usable set of them.</summary>
    public static ModernTransport? Create(PciFunction function, DeviceMapper mapper)
    {
        DeviceRegisters common = default;
        DeviceRegisters notify = default;
        DeviceRegisters interruptStatus = default;
        DeviceRegisters device = default;
        uint multiplier = 0;
        PciCapabilities walk = new(function.Configuration, function.Address);
        while (walk.TryNext(out byte id, out int offset))
        {
            if (id != PciCapabilityId.Vendor || offset > PciConfiguration.SpaceSize - MinimumCapability)
            {
                continue;
            }

            int length = function.Configuration.Read8(function.Address, offset + CapabilityLength);
            // Of several of a type the first that works is to be taken (4.1.4).
            switch (function.Configuration.Read8(function.Address, offset + CapabilityType))
            {
                case TypeCommon when common.Length == 0 && TryMap(function, mapper, offset, CommonSize, out DeviceRegisters window):
                    common = window;
                    break;
                case TypeNotify when notify.Length == 0 && length >= NotifyCapability
                    && offset <= PciConfiguration.SpaceSize - NotifyCapability
                    && TryMap(function, mapper, offset, 2, out DeviceRegisters window):
                    notify = window;
                    multiplier = function.Configuration.Read32(function.Address, offset + CapabilityMultiplier);
                    break;
                case TypeInterruptStatus when interruptStatus.Length == 0 && TryMap(function, mapper, offset, 1, out DeviceRegisters window):
                    interruptStatus = window;
                    break;
                case TypeDevice when device.Length == 0 && TryMap(function, mapper, offset, 1, out DeviceRegisters window):
                    device = window;
                    break;
            }
        }

        return common.Length == 0 || notify.Length == 0 || interruptStatus.Length == 0
            ? null
            : new ModernTransport(common, notify, interruptStatus, device, multiplier);
    }

    /// <inheritdoc/>
    public override ulong ReadDeviceFeatures()
    {
        _common.Write32(DeviceFeatureSelect, 0);
        ulong low = _common.Read32(DeviceFeature);
        _common.Write32(DeviceFeatureSelect, 1);
        return low | ((ulong)_common.Read32(DeviceFeature) << 32);
    }

    /// <inheritdoc/>
    public override void WriteDriverFeatures(ulong features)
    {
        _common.Write32(DriverFeatureSelect, 0);
        _common.Write32(DriverFeature, (uint)features);
        _common.Write32(DriverFeatureSelect, 1);
        _common.Write32(DriverFeature, (uint)(features >> 32));
    }

    /// <inheritdoc/>
    public override ushort ReadQueueSize(int queue)
    {
        if (queue >= _common.Read16(QueueCountField))
        {
            return 0;
        }

        _common.Write16(QueueSelect, (ushort)queue);
        return _common.Read16(QueueSize);
    }

    /// <inheritdoc/>
    public override bool TryEnableQueue(Virtqueue queue, ushort vector)
    {
        _common.Write16(QueueSelect, queue.Index);
        ushort available = _common.Read16(QueueSize);
        if (available < queue.Size || _common.Read16(QueueEnable) != 0)
        {
            return false;
        }

        ulong notifyOffset = (ulong)_common.Read16(QueueNotifyOffset) * _multiplier;
        if (notifyOffset + 2 > _notify.Length)
        {
            return false;
        }

        queue.NotifyOffset = (uint)notifyOffset;
        _common.Write16(QueueSize, queue.Size);
        _common.Write64(QueueDescriptors, queue.DescriptorAddress);
        _common.Write64(QueueDriver, queue.AvailableAddress);
        _common.Write64(QueueDevice, queue.UsedAddress);
        _common.Write16(QueueVector, vector);
        if (vector != NoVector && _common.Read16(QueueVector) != vector)
        {
            return false;
        }

        _common.Write16(QueueEnable, 1);
        return true;
    }

    /// <inheritdoc/>
    public override void Notify(Virtqueue queue) => _notify.Write16(queue.NotifyOffset, queue.Index);

    /// <inheritdoc/>
    public override bool TrySetConfigurationVector(ushort vector)
    {
        _common.Write16(ConfigurationVector, vector);
        return vector == NoVector || _common.Read16(ConfigurationVector) == vector;
    }

    /// <inheritdoc/>
    public override byte ReadInterruptStatus() => _interruptStatus.Read8(0);

    /// <inheritdoc/>
    protected override byte ReadGeneration() => _common.Read8(Generation);

    private static bool TryMap(PciFunction function, DeviceMapper mapper, int capability, uint minimum, out DeviceRegisters window)
    {
        PciConfiguration configuration = function.Configuration;
        int bar = configuration.Read8(function.Address, capability + CapabilityBar);
        uint offset = configuration.Read32(function.Address, capability + CapabilityOffset);
        uint length = configuration.Read32(function.Address, capability + CapabilitySize);
        window = default;
        return length >= minimum && function.TryMap(mapper, bar, offset, System.Math.Min(length, MaximumWindow), out window);
    }
}
