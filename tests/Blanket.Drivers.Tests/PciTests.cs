using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Drivers.Pci;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Drivers.Tests;

public sealed class PciTests
{
    private readonly FakeMachine _machine = new(256);

    private FakePciFunction Add(int bus, int device, int function = 0, ushort vendor = 0x1234)
    {
        FakePciFunction added = new(new PciAddress(bus, device, function));
        added.Identify(vendor, 0x5678, 0, 0);
        _machine.Bus.Add(added);
        return added;
    }

    private static List<string> Addresses(PciScan scan) =>
        [.. Enumerable.Range(0, scan.Count).Select(i => $"{scan[i].Bus}:{scan[i].Device}.{scan[i].Function}")];

    [Fact]
    public void PortAccessSelectsTheRegister()
    {
        PortRecorder ports = new();
        SimulatedPorts.Current = ports;
        PciPortConfiguration configuration = new();
        PciAddress address = new(0x12, 0x1f, 7);
        Assert.Equal(0x80u, configuration.Read(address, 0x41, 1));
        configuration.Write16(address, 0x46, 0xbeef);
        configuration.Write32(address, 0xfc, 0xcafe);
        Assert.Equal(
            ["out4 cf8 8012ff40", "in1 cfd", "out4 cf8 8012ff44", "out2 cfe beef", "out4 cf8 8012fffc", "out4 cfc cafe"],
            ports.Accesses);
    }

    [Fact]
    public void MemoryAccessAddressesTheFunction()
    {
        RegisterRecorder registers = new();
        PciMemoryConfiguration configuration = new(new DeviceRegisters(registers, 2 << 20), 4);
        Assert.Equal(5, configuration.LastBus);
        configuration.Write16(new PciAddress(5, 3, 1), 0x40, 7);
        Assert.Equal((0x119040ul, 2, 7ul), registers.Written);
        Assert.Equal(0xffffu, configuration.Read(new PciAddress(3, 0, 0), 0, 2));
        Assert.Equal(0xffffffffu, configuration.Read(new PciAddress(6, 0, 0), 0, 4));
        configuration.Write8(new PciAddress(6, 0, 0), 0, 1);
        Assert.Equal((0x119040ul, 2, 7ul), registers.Written);
    }

    [Fact]
    public void ScanFollowsBridgesAndFunctions()
    {
        Add(0, 1).Set8(PciRegister.HeaderType, 0x80);
        Add(0, 1, 3);
        Add(0, 2);
        Add(0, 2, 1);
        Add(0, 3).MakeBridge(2, 3);
        Add(2, 0).MakeBridge(3, 3);
        Add(3, 4);
        PciScan scan = new(_machine.Bus);
        Assert.Equal(["0:1.0", "0:1.3", "0:2.0", "0:3.0", "2:0.0", "3:4.0"], Addresses(scan));
        Assert.True(scan.TryGetBridge(3, out PciAddress bridge));
        Assert.Equal(2, bridge.Bus);
        Assert.False(scan.TryGetBridge(0, out _));
    }

    [Fact]
    public void BridgesThatLoopAreScannedOnce()
    {
        Add(0, 1).MakeBridge(1, 255);
        Add(1, 0).MakeBridge(1, 1);
        Add(1, 1).MakeBridge(0, 1);
        Add(1, 2).MakeBridge(2, 2);
        Add(2, 0).MakeBridge(1, 2);
        PciScan scan = new(_machine.Bus);
        Assert.Equal(5, scan.Count);
    }

    [Fact]
    public void BridgesWithoutBusNumbersGetThem()
    {
        FakePciFunction configured = Add(0, 1);
        configured.MakeBridge(1, 3);
        FakePciFunction first = Add(0, 2);
        first.MakeBridge(0, 0);
        FakePciFunction second = Add(0, 3);
        second.MakeBridge(0, 0);
        PciScan scan = new(_machine.Bus);
        Assert.Equal(4u, first.Read(PciRegister.SecondaryBus, 1));
        Assert.Equal(5u, second.Read(PciRegister.SecondaryBus, 1));
        Assert.True(scan.TryGetBridge(5, out PciAddress bridge));
        Assert.Equal(3, bridge.Device);
    }

    [Fact]
    public void AFullMachineIsBounded()
    {
        for (int bus = 0; bus < 4; bus++)
        {
            for (int device = 0; device < 32; device++)
            {
                for (int function = 0; function < 8; function++)
                {
                    FakePciFunction added = Add(bus, device, function);
                    added.Set8(PciRegister.HeaderType, 0x80);
                    if (device == 0 && function == 0)
                    {
                        added.MakeBridge((byte)(bus + 1), 4);
                        added.Set8(PciRegister.HeaderType, 0x81);
                    }
                }
            }
        }

        Assert.Equal(PciScan.MaximumFunctions, new PciScan(_machine.Bus).Count);
    }

    [Fact]
    public void BarsAreSizedAndRestored()
    {
        FakePciFunction function = Add(0, 1);
        function.AddMemoryBar(0, 0x1000, 0xfebf0000, false);
        function.AddMemoryBar(1, 1 << 20, 0x38_0000_0000, true);
        function.AddIoBar(3, 0x40, 0xc040);
        function.Set16(PciRegister.Command, PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster);
        PciFunction opened = new(_machine.Bus, function.Address);
        Assert.Equal((0xfebf0000ul, 0x1000ul, false), (opened.Bar(0).Address, opened.Bar(0).Length, opened.Bar(0).IsIo));
        Assert.Equal((0x38_0000_0000ul, 1ul << 20, true), (opened.Bar(1).Address, opened.Bar(1).Length, opened.Bar(1).Is64));
        Assert.Equal(0ul, opened.Bar(2).Length);
        Assert.Equal((0xc040ul, 0x40ul, true), (opened.Bar(3).Address, opened.Bar(3).Length, opened.Bar(3).IsIo));
        Assert.Equal(0ul, opened.Bar(5).Length);
        Assert.Equal(0ul, opened.Bar(-1).Length);
        Assert.Equal(0, function.BarWritesWhileDecoding);
        Assert.Equal(7, function.Command);
        Assert.Equal(0xfebf0000ul, function.BarAddress(0));
        Assert.Equal(0x38_0000_0000ul, function.BarAddress(1));
        Assert.False(opened.HasUnassignedBar);
    }

    [Fact]
    public void CapabilitiesAreWalkedAndLoopsEnd()
    {
        FakePciFunction function = Add(0, 1);
        function.AddCapability(1, new byte[6]);
        function.AddCapability(9, new byte[14]);
        int last = function.AddCapability(9, new byte[14]);
        PciCapabilities walk = new(_machine.Bus, function.Address);
        Assert.True(walk.TryNext(out byte id, out int offset));
        Assert.Equal((1, 0x40), (id, offset));
        Assert.True(walk.TryNext(out id, out offset));
        Assert.True(walk.TryNext(out id, out offset));
        Assert.Equal((9, last), (id, offset));
        Assert.False(walk.TryNext(out _, out _));

        function.Set8(last + 1, 0x40);
        walk = new PciCapabilities(_machine.Bus, function.Address);
        int steps = 0;
        while (walk.TryNext(out _, out _))
        {
            steps++;
        }

        Assert.Equal(48, steps);
        Assert.False(PciCapabilities.TryFind(_machine.Bus, function.Address, 0x11, out _));
    }

    [Theory]
    [InlineData(0x10)]
    [InlineData(0x3c)]
    public void CapabilityPointersIntoTheHeaderEndTheWalk(byte pointer)
    {
        FakePciFunction function = Add(0, 1);
        function.AddCapability(9, new byte[14]);
        function.Set8(PciRegister.CapabilitiesPointer, pointer);
        Assert.False(new PciCapabilities(_machine.Bus, function.Address).TryNext(out _, out _));
    }

    [Fact]
    public void UnassignedDevicesOnTheRootBusAreGivenAddresses()
    {
        FakeVirtioOptions options = new FakeVirtioOptions { IsUnassigned = true };
        FakeEntropyDevice first = new(_machine, options);
        FakeEntropyDevice second = new(_machine, options);
        FakePciFunction neighbour = Add(0, 9);
        neighbour.AddMemoryBar(0, 0x2000, 0xe0002000, false);
        _machine.Bus.Windows.Memory = new PciWindow(0xe0000000, 0xe0100000);
        _machine.Bus.Windows.Memory64 = new PciWindow(0x80_0000_0000, 0x80_0001_0000);
        _machine.Probe();
        Assert.Equal(2, _machine.Found.EntropySourceCount);
        Assert.Equal(0x80_0000_0000ul, first.Function.BarAddress(4));
        Assert.Equal(0x80_0000_4000ul, second.Function.BarAddress(4));
        Assert.Equal(0xe0000000ul, first.Function.BarAddress(1));
        Assert.Equal(0xe0001000ul, second.Function.BarAddress(1));
        Assert.Equal(64, _machine.Found.Entropy(1).TryTake(new byte[100]));
    }

    [Fact]
    public void UnassignedDevicesWithoutWindowsAreLeftAlone()
    {
        _ = new FakeEntropyDevice(_machine, new FakeVirtioOptions { IsUnassigned = true });
        _machine.Probe();
        Assert.Equal(0, _machine.Found.EntropySourceCount);
        Assert.Contains("no usable registers", _machine.LogText.Text);
    }

    [Property(MaxTest = 100)]
    public void AssignedRangesNeverOverlap(int seed)
    {
        FakeMachine machine = new(256);
        Random random = new(seed);
        machine.Bus.Windows.Memory = new PciWindow(0xe0000000, 0xe0000000 + (ulong)random.Next(1, 64) * 0x4000);
        List<FakePciFunction> functions = [];
        for (int device = 0; device < 20; device++)
        {
            FakePciFunction function = new(new PciAddress(0, device, 0));
            function.Identify(0x1234, 0x5678, 0, 0);
            uint size = 0x1000u << random.Next(4);
            ulong address = random.Next(3) == 0 ? (0xe0000000 + (ulong)random.Next(64) * 0x4000) & ~(size - 1UL) : 0;
            // What firmware assigned does not overlap either.
            bool isFree = functions.TrueForAll(f => f.BarAddress(0) == 0 || Apart(f, address, size));
            function.AddMemoryBar(0, size, isFree ? address : 0, false);
            functions.Add(function);
            machine.Bus.Add(function);
        }

        PciResources resources = new(machine.Bus, new PciScan(machine.Bus));
        foreach (FakePciFunction function in functions)
        {
            new PciFunction(machine.Bus, function.Address).AssignBars(resources);
        }

        for (int i = 0; i < functions.Count; i++)
        {
            ulong address = functions[i].BarAddress(0);
            Assert.Equal(0ul, address & (functions[i].BarSize(0) - 1));
            for (int j = 0; j < i; j++)
            {
                Assert.True(address == 0 || functions[j].BarAddress(0) == 0 || Apart(functions[j], address, functions[i].BarSize(0)));
            }
        }

        static bool Apart(FakePciFunction other, ulong address, uint size) =>
            address + size <= other.BarAddress(0) || other.BarAddress(0) + other.BarSize(0) <= address;
    }

    [Fact]
    public void DevicesBehindAnUnconfiguredBridgeAreReached()
    {
        FakePciFunction bridge = Add(0, 1);
        bridge.MakeBridge(0, 0);
        FakePciFunction device = Add(1, 0);
        device.AddMemoryBar(0, 0x4000, 0, false);
        device.AddMemoryBar(1, 0x1000, 0, false);
        _machine.Bus.Windows.Memory = new PciWindow(0xe0000000, 0xe1000000);
        PciScan scan = new(_machine.Bus);
        PciFunction function = new(_machine.Bus, device.Address);
        function.AssignBars(new PciResources(_machine.Bus, scan));
        Assert.Equal(0xe0000000ul, device.BarAddress(0));
        Assert.Equal(0xe0004000ul, device.BarAddress(1));
        Assert.Equal(0xe000u, bridge.Read(PciRegister.MemoryBase, 2));
        Assert.Equal(0xe010u, bridge.Read(PciRegister.MemoryLimit, 2));
        Assert.Equal(6u, bridge.Read(PciRegister.Command, 2));
    }

    [Fact]
    public void DevicesBehindAConfiguredBridgeStayInItsWindow()
    {
        FakePciFunction bridge = Add(0, 1);
        bridge.MakeBridge(1, 1);
        bridge.Set16(PciRegister.MemoryBase, 0xe020);
        bridge.Set16(PciRegister.MemoryLimit, 0xe020);
        FakePciFunction placed = Add(1, 0);
        placed.AddMemoryBar(0, 0x1000, 0xe0200000, false);
        FakePciFunction unplaced = Add(1, 1);
        unplaced.AddMemoryBar(0, 0x1000, 0, false);
        unplaced.AddMemoryBar(1, 0x100000, 0, false);
        FakePciFunction onRoot = Add(0, 2);
        onRoot.AddMemoryBar(0, 0x200000, 0, false);
        _machine.Bus.Windows.Memory = new PciWindow(0xe0100000, 0xe1000000);
        PciResources resources = new(_machine.Bus, new PciScan(_machine.Bus));
        new PciFunction(_machine.Bus, unplaced.Address).AssignBars(resources);
        new PciFunction(_machine.Bus, onRoot.Address).AssignBars(resources);
        Assert.Equal(0xe0201000ul, unplaced.BarAddress(0));
        Assert.Equal(0ul, unplaced.BarAddress(1));
        Assert.Equal(0xe0400000ul, onRoot.BarAddress(0));
    }

    [Fact]
    public void MsixVectorsAreProgrammed()
    {
        FakeEntropyDevice device = new(_machine, new FakeVirtioOptions());
        PciFunction function = new(_machine.Bus, device.Function.Address);
        Msix msix = Msix.Create(function, _machine.Mapper)!;
        Assert.Equal(8, msix.VectorCount);
        DeviceRegisters table = _machine.Mapper.Map(device.Function.BarAddress(1), 0x1000);
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(1u, table.Read32((ulong)i * 16 + 12));
        }

        msix.Program(3, new MessageSignal(0x1_fee01000, 0x41));
        Assert.Equal(0xfee01000u, table.Read32(48));
        Assert.Equal(1u, table.Read32(52));
        Assert.Equal(0x41u, table.Read32(56));
        Assert.Equal(0u, table.Read32(60));
        msix.SetMasked(3, true);
        Assert.Equal(1u, table.Read32(60));
        table.Write32(0x800, 8);
        Assert.True(msix.IsPending(3));
        Assert.False(msix.IsPending(4));
        msix.Enable();
        Assert.True(PciCapabilities.TryFind(_machine.Bus, function.Address, PciCapabilityId.Msix, out int offset));
        Assert.Equal(0x8007u, device.Function.Read(offset + 2, 2));
        msix.Disable();
        Assert.Equal(0x0007u, device.Function.Read(offset + 2, 2));
    }

    [Fact]
    public void AnMsixTableOutsideItsBarIsNotUsed()
    {
        FakeEntropyDevice device = new(_machine, new FakeVirtioOptions());
        Assert.True(PciCapabilities.TryFind(_machine.Bus, device.Function.Address, PciCapabilityId.Msix, out int offset));
        device.Function.Set16(offset + 2, 0x7ff);
        PciFunction function = new(_machine.Bus, device.Function.Address);
        Assert.Null(Msix.Create(function, _machine.Mapper));
    }

    [Property(MaxTest = 100)]
    public void HostileConfigurationSpaceIsSurvived(int seed)
    {
        FakeMachine machine = new(256);
        Random random = new(seed);
        for (int device = 0; device < 8; device++)
        {
            NoisyFunction function = new(new PciAddress(0, device, 0), random);
            machine.Bus.Add(function);
        }

        machine.Probe();
        Assert.Equal(0, machine.Found.DiskCount + machine.Found.NetworkCount);
    }

    // Says that it is virtio, and anything else at random.
    private sealed class NoisyFunction(PciAddress address, Random random) : FakePciFunction(address)
    {
        public override uint Read(int offset, int size) => offset switch
        {
            PciRegister.VendorId => 0x1af4,
            PciRegister.DeviceId => (uint)random.Next(0x1000, 0x1080),
            _ => (uint)random.NextInt64() >> (32 - 8 * size),
        };

        public override void Write(int offset, int size, uint value)
        {
        }
    }

    private sealed class PortRecorder : SimulatedPorts
    {
        public List<string> Accesses { get; } = [];

        public override byte Read8(ushort port)
        {
            Accesses.Add($"in1 {port:x}");
            return 0x80;
        }

        public override void Write16(ushort port, ushort value) => Accesses.Add($"out2 {port:x} {value:x}");

        public override void Write32(ushort port, uint value) => Accesses.Add($"out4 {port:x} {value:x}");
    }

    private sealed class RegisterRecorder : SimulatedRegisters
    {
        public (ulong Offset, int Size, ulong Value) Written { get; private set; }

        public override ulong Read(ulong offset, int size) => 0;

        public override void Write(ulong offset, int size, ulong value) => Written = (offset, size, value);
    }
}
