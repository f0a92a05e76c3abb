using System;
using System.Buffers.Binary;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>
/// A virtio device at the register and ring level: modern, or legacy through ports. Requests are handled when the driver notifies
/// (<see cref="IsAutomatic"/>) or when the test says so.
/// </summary>
public abstract class FakeVirtioDevice
{
    private readonly FakeMachine _machine;
    private readonly MsixRegion _msix = new();
    private readonly ushort _configurationVectorReset = 0xffff;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;
    private ushort _queueSelect;
    private byte _generation;
    private byte _interruptStatus;
    private ushort _configurationVector = 0xffff;

    protected FakeVirtioDevice(FakeMachine machine, FakeVirtioOptions options, int type, int queues, int configurationSize)
    {
        _machine = machine;
        Options = options;
        DeviceFeatures = options.Features & (options.IsLegacy ? uint.MaxValue : ulong.MaxValue);
        Configuration = new byte[configurationSize];
        Queues = new FakeVirtioQueue[queues];
        for (int i = 0; i < queues; i++)
        {
            Queues[i] = new FakeVirtioQueue { MaximumSize = options.QueueSize };
            Queues[i].Reset();
        }

        Function = options.IsLegacy ? BuildLegacy(type) : BuildModern(type);
        BuildInterrupts();
        machine.Bus.Add(Function);
    }

    public FakeVirtioOptions Options { get; }

    public FakePciFunction Function { get; }

    public ulong DeviceFeatures { get; set; }

    public ulong DriverFeatures { get; private set; }

    public byte[] Configuration { get; }

    public FakeVirtioQueue[] Queues { get; }

    public byte Status { get; private set; }

    public int Resets { get; private set; }

    /// <summary>Handle requests as they are notified.</summary>
    public bool IsAutomatic { get; set; } = true;

    /// <summary>A reset never ends.</summary>
    public bool IgnoresReset { get; set; }

    /// <summary>The device has been taken out: nobody answers its registers, which reads as all ones.</summary>
    public bool IsGone { get; set; }

    /// <summary>FEATURES_OK is not accepted.</summary>
    public bool RefusesFeatures { get; set; }

    /// <summary>Vectors are not accepted.</summary>
    public bool RefusesVectors { get; set; }

    public bool IsRunning => (Status & 4) != 0;

    public void SetConfiguration16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Configuration.AsSpan(offset), value);

    public void SetConfiguration32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Configuration.AsSpan(offset), value);

    public void SetConfiguration64(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Configuration.AsSpan(offset), value);

    /// <summary>Handles what waits in a queue.</summary>
    public abstract void Process(int queue);

    /// <summary>The driver reset the device.</summary>
    protected virtual void WasReset()
    {
    }

    /// <summary>The driver set DRIVER_OK.</summary>
    protected virtual void Started()
    {
    }

    /// <summary>Gives a request back and interrupts if the driver asked for it.</summary>
    public void Complete(int queue, FakeChain chain, uint length)
    {
        if (Queues[queue].Push(chain, length))
        {
            InterruptQueue(queue);
        }
    }

    /// <summary>Gives something back that may be a lie, and interrupts.</summary>
    public void CompleteRaw(int queue, uint id, uint length)
    {
        Queues[queue].PushRaw(id, length);
        InterruptQueue(queue);
    }

    public void InterruptQueue(int queue) => Interrupt(Queues[queue].Vector, 1);

    /// <summary>Tells the driver that the configuration changed.</summary>
    public void ConfigurationChanged()
    {
        _generation++;
        Interrupt(_configurationVector, 2);
    }

    /// <summary>Makes the device look as a predecessor left it.</summary>
    public void LeaveRunning() => Status = 15;

    /// <summary>Tells the driver that only a reset helps (2.1.2).</summary>
    public void AskForReset()
    {
        Status |= 64;
        ConfigurationChanged();
    }

    private void Interrupt(ushort vector, byte statusBit)
    {
        if (Options.Vectors != 0)
        {
            if (vector != 0xffff)
            {
                _msix.Raise(vector, _machine.Interrupts);
            }

            return;
        }

        _interruptStatus |= statusBit;
        if (Options.HasMsi)
        {
            _machine.Interrupts.Message(
                Function.Get32(_msiOffset + 4), Function.Get16(_msiOffset + 8));
            return;
        }

        _machine.Interrupts.Line();
    }

    private int _msiOffset;

    private FakePciFunction BuildModern(int type)
    {
        FakePciFunction function = new(_machine.NextAddress());
        function.Identify(0x1af4, (ushort)(0x1040 + type), (ushort)(0x1100 + type), 1);
        function.AddMemoryBar(4, 0x4000, _machine.NextMemory(0x4000, Options.IsUnassigned), true, new ModernRegisters(this));
        AddVendorCapability(function, 1, 0, 56);
        AddVendorCapability(function, 3, 0x1000, 4);
        AddVendorCapability(function, 4, 0x2000, (uint)Configuration.Length);
        AddVendorCapability(function, 2, 0x3000, 0x1000, 4);
        return function;
    }

    private FakePciFunction BuildLegacy(int type)
    {
        FakePciFunction function = new(_machine.NextAddress());
        ushort id = type switch
        {
            1 => 0x1000,
            2 => 0x1001,
            3 => 0x1003,
            _ => 0x1005,
        };
        function.Identify(0x1af4, id, (ushort)type, 0);
        ushort port = _machine.NextPort(0x80);
        function.AddIoBar(0, 0x80, port);
        _machine.Ports.Add(port, 0x80, new LegacyRegisters(this));
        return function;
    }

    private static void AddVendorCapability(FakePciFunction function, byte type, uint offset, uint length, uint? multiplier = null)
    {
        if (length == 0)
        {
            return;
        }

        byte[] body = new byte[multiplier == null ? 14 : 18];
        body[0] = (byte)(body.Length + 2);
        body[1] = type;
        body[2] = 4;
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(6), offset);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(10), length);
        if (multiplier != null)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(14), multiplier.Value);
        }

        function.AddCapability(PciCapabilityId.Vendor, body);
    }

    private void BuildInterrupts()
    {
        Function.Set8(PciRegister.InterruptPin, 1);
        if (Options.Vectors != 0)
        {
            Function.AddMemoryBar(1, 0x1000, _machine.NextMemory(0x1000, Options.IsUnassigned), false, _msix);
            byte[] body = new byte[10];
            BinaryPrimitives.WriteUInt16LittleEndian(body, (ushort)(Options.Vectors - 1));
            BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(2), 1);
            BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(6), 0x800 | 1);
            _msix.Control = Function.AddCapability(PciCapabilityId.Msix, body) + 2;
            _msix.Function = Function;
        }
        else if (Options.HasMsi)
        {
            _msiOffset = Function.AddCapability(PciCapabilityId.Msi, new byte[12]);
        }
    }

    private void SetStatus(byte value)
    {
        if (value == 0)
        {
            if (!IgnoresReset && !IsGone)
            {
                Resets++;
                Reset();
            }

            return;
        }

        if ((value & 8) != 0 && (RefusesFeatures || (DriverFeatures & ~DeviceFeatures) != 0))
        {
            value = (byte)(value & ~8);
        }

        bool starts = (value & 4) != 0 && !IsRunning;
        Status = value;
        if (starts)
        {
            Assert.NotEqual(0, Function.Command & PciCommand.BusMaster);
            foreach (FakeVirtioQueue queue in Queues)
            {
                queue.HasEventIndex = (DriverFeatures & (1UL << 29)) != 0;
                queue.HasIndirect = (DriverFeatures & (1UL << 28)) != 0;
            }

            Started();
        }
    }

    private void Reset()
    {
        Status = 0;
        DriverFeatures = 0;
        _configurationVector = _configurationVectorReset;
        _interruptStatus = 0;
        foreach (FakeVirtioQueue queue in Queues)
        {
            queue.Reset();
        }

        WasReset();
    }

    private void Notified(int queue)
    {
        Assert.True(IsRunning, "a notification before DRIVER_OK");
        Assert.True(queue < Queues.Length && Queues[queue].IsEnabled, "a notification of a queue that is off");
        Queues[queue].Notifications++;
        if (IsAutomatic)
        {
            Process(queue);
        }
    }

    private ushort AcceptVector(ushort vector) => RefusesVectors || vector >= Options.Vectors ? (ushort)0xffff : vector;

    private byte ReadStatus() => IsGone ? byte.MaxValue : Status;

    private byte TakeInterruptStatus()
    {
        byte status = _interruptStatus;
        _interruptStatus = 0;
        return status;
    }

    private sealed class ModernRegisters(FakeVirtioDevice device) : SimulatedRegisters
    {
        private FakeVirtioQueue? Queue => device._queueSelect < device.Queues.Length ? device.Queues[device._queueSelect] : null;

        public override ulong Read(ulong offset, int size)
        {
            Assert.NotEqual(0, device.Function.Command & PciCommand.MemorySpace);
            if (offset >= 0x2000 && offset < 0x3000)
            {
                ulong value = 0;
                for (int i = 0; i < size; i++)
                {
                    value |= (ulong)device.Configuration[(int)offset - 0x2000 + i] << (8 * i);
                }

                return value;
            }

            return offset switch
            {
                0x1000 => device.TakeInterruptStatus(),
                4 => device._deviceFeatureSelect > 1 ? 0 : (uint)(device.DeviceFeatures >> (int)(32 * device._deviceFeatureSelect)),
                16 => device._configurationVector,
                18 => (ushort)device.Queues.Length,
                20 => device.ReadStatus(),
                21 => device._generation,
                24 => Queue?.Size ?? 0u,
                26 => Queue?.Vector ?? 0xffffu,
                28 => Queue is { IsEnabled: true } ? 1u : 0,
                30 => device._queueSelect,
                _ => throw new InvalidOperationException($"read of register {offset:x}"),
            };
        }

        public override void Write(ulong offset, int size, ulong value)
        {
            Assert.NotEqual(0, device.Function.Command & PciCommand.MemorySpace);
            if (offset >= 0x3000)
            {
                Assert.Equal(2, size);
                Assert.Equal((offset - 0x3000) / 4, value);
                device.Notified((int)value);
                return;
            }

            switch (offset)
            {
                case 0:
                    device._deviceFeatureSelect = (uint)value;
                    break;
                case 8:
                    device._driverFeatureSelect = (uint)value;
                    break;
                case 12:
                    int shift = 32 * (int)device._driverFeatureSelect;
                    device.DriverFeatures = (device.DriverFeatures & ~(0xffffffffUL << shift)) | (value << shift);
                    break;
                case 16:
                    device._configurationVector = device.AcceptVector((ushort)value);
                    break;
                case 20:
                    device.SetStatus((byte)value);
                    break;
                case 22:
                    device._queueSelect = (ushort)value;
                    break;
                default:
                    WriteQueue(offset, value);
                    break;
            }
        }

        private void WriteQueue(ulong offset, ulong value)
        {
            FakeVirtioQueue queue = Queue!;
            Assert.False(queue.IsEnabled, "a queue is changed while it is on");
            switch (offset)
            {
                case 24:
                    Assert.True(value <= queue.MaximumSize && System.Numerics.BitOperations.IsPow2(value));
                    queue.Size = (ushort)value;
                    break;
                case 26:
                    queue.Vector = device.AcceptVector((ushort)value);
                    break;
                case 28:
                    Assert.Equal(1u, value);
                    Assert.Equal(0u, queue.Descriptors % 16);
                    Assert.Equal(0u, queue.Available % 2);
                    Assert.Equal(0u, queue.Used % 4);
                    queue.IsEnabled = true;
                    break;
                case 32:
                    queue.Descriptors = (queue.Descriptors & ~0xffffffffUL) | value;
                    break;
                case 36:
                    queue.Descriptors = (uint)queue.Descriptors | (value << 32);
                    break;
                case 40:
                    queue.Available = (queue.Available & ~0xffffffffUL) | value;
                    break;
                case 44:
                    queue.Available = (uint)queue.Available | (value << 32);
                    break;
                case 48:
                    queue.Used = (queue.Used & ~0xffffffffUL) | value;
                    break;
                case 52:
                    queue.Used = (uint)queue.Used | (value << 32);
                    break;
                default:
                    throw new InvalidOperationException($"write of register {offset:x}");
            }
        }
    }

    private sealed class LegacyRegisters(FakeVirtioDevice device) : SimulatedRegisters
    {
        private FakeVirtioQueue? Queue => device._queueSelect < device.Queues.Length ? device.Queues[device._queueSelect] : null;

        private int ConfigurationOffset => device._msix.IsEnabled ? 24 : 20;

        public override ulong Read(ulong offset, int size)
        {
            if ((int)offset >= ConfigurationOffset)
            {
                ulong value = 0;
                for (int i = 0; i < size; i++)
                {
                    int at = (int)offset - ConfigurationOffset + i;
                    value |= (ulong)(at < device.Configuration.Length ? device.Configuration[at] : (byte)0xff) << (8 * i);
                }

                return value;
            }

            return offset switch
            {
                0 => (uint)device.DeviceFeatures,
                4 => (uint)device.DriverFeatures,
                8 => (uint)((Queue?.Descriptors ?? 0) >> 12),
                12 => Queue?.MaximumSize ?? 0u,
                18 => device.ReadStatus(),
                19 => device.TakeInterruptStatus(),
                20 => device._configurationVector,
                22 => Queue?.Vector ?? 0xffffu,
                _ => throw new InvalidOperationException($"read of register {offset:x}"),
            };
        }

        public override void Write(ulong offset, int size, ulong value)
        {
            switch (offset)
            {
                case 4:
                    device.DriverFeatures = value;
                    break;
                case 8:
                    Enable(Queue!, value << 12);
                    break;
                case 14:
                    device._queueSelect = (ushort)value;
                    break;
                case 16:
                    device.Notified((int)value);
                    break;
                case 18:
                    device.SetStatus((byte)value);
                    break;
                case 20 when device._msix.IsEnabled:
                    device._configurationVector = device.AcceptVector((ushort)value);
                    break;
                case 22 when device._msix.IsEnabled:
                    Queue!.Vector = device.AcceptVector((ushort)value);
                    break;
                default:
                    throw new InvalidOperationException($"write of register {offset:x}");
            }
        }

        // 2.7.2: where the parts of a legacy queue are follows from its size.
        private static void Enable(FakeVirtioQueue queue, ulong address)
        {
            queue.Size = queue.MaximumSize;
            queue.Descriptors = address;
            queue.Available = address + queue.Size * 16u;
            queue.Used = (queue.Available + 6 + queue.Size * 2u + 4095) & ~4095UL;
            queue.IsEnabled = true;
        }
    }

    private sealed class MsixRegion : SimulatedRegisters
    {
        private readonly byte[] _bytes = new byte[0x1000];

        public FakePciFunction? Function { get; set; }

        public int Control { get; set; }

        public bool IsEnabled => Function != null && (Function.Get16(Control) & 0x8000) != 0;

        public override ulong Read(ulong offset, int size) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan((int)offset));

        public override void Write(ulong offset, int size, ulong value)
        {
            Assert.Equal(4, size);
            BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan((int)offset), (uint)value);
        }

        public void Raise(int vector, FakeInterrupts interrupts)
        {
            Assert.True(IsEnabled);
            ulong entry = (ulong)vector * 16;
            Assert.Equal(0u, Read(entry + 12, 4) & 1);
            interrupts.Message(Read(entry, 4) | (Read(entry + 4, 4) << 32), (uint)Read(entry + 8, 4));
        }
    }
}
