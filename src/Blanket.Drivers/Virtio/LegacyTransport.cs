using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>A legacy or transitional device through its I/O BAR, for hypervisors that offer nothing newer (virtio 1.2, 4.1.4.10).</summary>
internal sealed class LegacyTransport : VirtioTransport
{
    private const uint DeviceFeatures = 0;
    private const uint DriverFeatures = 4;
    private const uint QueueAddress = 8;
    private const uint QueueSize = 12;
    private const uint QueueSelect = 14;
    private const uint QueueNotify = 16;
    private const uint DeviceStatus = 18;
    private const uint InterruptStatus = 19;
    private const uint ConfigurationVector = 20;
    private const uint QueueVector = 22;
    private const uint ConfigurationWithoutVectors = 20;
    private const uint ConfigurationWithVectors = 24;
    private const int QueueAddressShift = 12;

    private readonly DeviceRegisters _registers;
    private DeviceRegisters _device;
    private bool _hasVectors;

    private LegacyTransport(DeviceRegisters registers)
    {
        _registers = registers;
        _device = registers.Slice(ConfigurationWithoutVectors, registers.Length - ConfigurationWithoutVectors);
    }

    /// <inheritdoc/>
    public override bool IsModern => false;

    /// <summary>Queue addresses are 32-bit numbers of 4 KiB pages.</summary>
    public override ulong RingAddressLimit => 1UL << (32 + QueueAddressShift);

    /// <inheritdoc/>
    protected override DeviceRegisters DeviceConfiguration => _device;

    /// <inheritdoc/>
    public override byte Status
    {
        get => _registers.Read8(DeviceStatus);
        set => _registers.Write8(DeviceStatus, value);
    }

    /// <summary>Opens BAR 0; null when it has no legacy registers.</summary>
    public static LegacyTransport? Create(PciFunction function, DeviceMapper mapper)
    {
        PciBar bar = function.Bar(0);
        return bar.IsIo && bar.Length > ConfigurationWithVectors
            && function.TryMap(mapper, 0, 0, System.Math.Min(bar.Length, 4096), out DeviceRegisters registers)
            ? new LegacyTransport(registers)
            : null;
    }

    /// <inheritdoc/>
    public override void SetHasVectors(bool hasVectors)
    {
        uint offset = hasVectors ? ConfigurationWithVectors : ConfigurationWithoutVectors;
        _hasVectors = hasVectors;
        _device = _registers.Slice(offset, _registers.Length - offset);
    }

    /// <inheritdoc/>
    public override ulong ReadDeviceFeatures() => _registers.Read32(DeviceFeatures);

    /// <inheritdoc/>
    public override void WriteDriverFeatures(ulong features) => _registers.Write32(DriverFeatures, (uint)features);

    /// <inheritdoc/>
    public override ushort ReadQueueSize(int queue)
    {
        _registers.Write16(QueueSelect, (ushort)queue);
        return _registers.Read16(QueueSize);
    }

    /// <inheritdoc/>
    public override bool TryEnableQueue(Virtqueue queue, ushort vector)
    {
        // The size is the device's to say, and the layout follows from it.
        if (ReadQueueSize(queue.Index) != queue.Size)
        {
            return false;
        }

        _registers.Write32(QueueAddress, (uint)(queue.DescriptorAddress >> QueueAddressShift));
        if (!_hasVectors)
        {
            return true;
        }

        _registers.Write16(QueueVector, vector);
        return vector == NoVector || _registers.Read16(QueueVector) == vector;
    }

    /// <inheritdoc/>
    public override void Notify(Virtqueue queue) => _registers.Write16(QueueNotify, queue.Index);

    /// <inheritdoc/>
    public override bool TrySetConfigurationVector(ushort vector)
    {
        if (!_hasVectors)
        {
            return true;
        }

        _registers.Write16(ConfigurationVector, vector);
        return vector == NoVector || _registers.Read16(ConfigurationVector) == vector;
    }

    /// <inheritdoc/>
    public override byte ReadInterruptStatus() => _registers.Read8(InterruptStatus);

    /// <inheritdoc/>
    protected override byte ReadGeneration() => 0;
}
