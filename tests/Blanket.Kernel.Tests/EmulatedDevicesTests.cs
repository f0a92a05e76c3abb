using System.Collections.Generic;
using Blanket.Kernel.Platform.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Tests;

public class EmulatedDevicesTests
{
    /// <summary>The ports of a device model, as xen/docs/misc/hvm-emulated-unplug says.</summary>
    private sealed class FakeDeviceModel : SimulatedPorts
    {
        internal required byte Version { get; init; }

        internal bool Refuses { get; init; }

        internal List<(ushort Port, int Size, uint Value)> Writes { get; } = [];

        public override ushort Read16(ushort port) => port != 0x10 || (Refuses && Writes.Count > 0) ? ushort.MaxValue : (ushort)0x49d2;

        public override byte Read8(ushort port) => port == 0x12 ? Version : byte.MaxValue;

        public override void Write8(ushort port, byte value) => Writes.Add((port, 1, value));

        public override void Write16(ushort port, ushort value) => Writes.Add((port, 2, value));

        public override void Write32(ushort port, uint value) => Writes.Add((port, 4, value));
    }

    [Fact]
    public void DisksAndNicsAreUnpluggedAfterTheDriversAreKnown() =>
        Assert.Equal([(0x12, 2, 0xffff), (0x10, 4, 1), (0x10, 2, 3)], Unplug(new() { Version = 1 }));

    [Fact]
    public void TheOldProtocolAsksForNothing() => Assert.Equal([(0x10, 2, 3)], Unplug(new() { Version = 0 }));

    [Fact]
    public void ADeviceModelThatRefusesKeepsItsDevices() =>
        Assert.Equal([(0x12, 2, 0xffff), (0x10, 4, 1)], Unplug(new() { Version = 1, Refuses = true }));

    [Fact]
    public void WithoutADeviceModelNothingIsWritten()
    {
        RecordingPorts ports = new();
        SimulatedPorts.Current = ports;
        try
        {
            EmulatedDevices.Unplug();
            Assert.False(ports.IsWritten);
        }
        finally
        {
            SimulatedPorts.Current = new SimulatedPorts();
        }
    }

    private static List<(ushort Port, int Size, uint Value)> Unplug(FakeDeviceModel model)
    {
        SimulatedPorts.Current = model;
        try
        {
            EmulatedDevices.Unplug();
            return model.Writes;
        }
        finally
        {
            SimulatedPorts.Current = new SimulatedPorts();
        }
    }

    private sealed class RecordingPorts : SimulatedPorts
    {
        internal bool IsWritten { get; private set; }

        public override void Write8(ushort port, byte value) => IsWritten = true;

        public override void Write16(ushort port, ushort value) => IsWritten = true;

        public override void Write32(ushort port, uint value) => IsWritten = true;
    }
}
