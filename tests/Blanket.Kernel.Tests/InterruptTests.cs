using Blanket.Drivers;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Tests;

public class InterruptTests
{
    private sealed class Counter : InterruptHandler
    {
        internal int Calls;
        internal InterruptHandler? Again;

        public override void Handle()
        {
            Calls++;
            if (Again != null)
            {
                DeferredHandlers.RunLater(Again);
            }
        }
    }

    private static Madt MadtWithOverrides()
    {
        byte[] table = new byte[44 + 20];
        new byte[] { 2, 10, 0, 0, 2, 0, 0, 0, 0, 0 }.CopyTo(table, 44);
        new byte[] { 2, 10, 0, 10, 10, 0, 0, 0, 0x0d, 0 }.CopyTo(table, 54);
        Madt madt = default;
        madt.Parse(table);
        return madt;
    }

    [Fact]
    public void VectorsOfDevicesAvoidSoftwareInterrupts()
    {
        InterruptVectors.Initialize();
        System.Collections.Generic.HashSet<byte> seen = [];
        Counter handler = new();
        while (InterruptVectors.TryAllocate(handler, false, out byte vector))
        {
            Assert.True(seen.Add(vector));
            Assert.InRange(vector, SystemVectors.FirstDevice, SystemVectors.LastDevice);
            Assert.True(vector is not (0x80 or 0x82));
        }

        Assert.Equal(0xdf - 0x30 + 1 - 2, seen.Count);
    }

    [Fact]
    public void AVectorReachesItsHandlerOnly()
    {
        InterruptVectors.Initialize();
        Counter first = new(), second = new();

        // Level-triggered and software ones are acknowledged last or never: host tests have no local APIC.
        InterruptVectors.Register(SystemVectors.Deferred, first);
        InterruptVectors.Dispatch(SystemVectors.Deferred);
        InterruptVectors.Dispatch(SystemVectors.Spurious);
        InterruptVectors.Dispatch(SystemVectors.FirstLegacy + 7);
        Assert.Equal((1, 0), (first.Calls, second.Calls));
    }

    [Fact]
    public void IsaAndPciLinesFollowOverrides()
    {
        Madt madt = MadtWithOverrides();
        WiredInterrupt timer = WiredInterrupt.OfIsa(in madt, 0);
        Assert.Equal((2u, false, false), (timer.Number, timer.IsLevel, timer.IsActiveLow));
        WiredInterrupt serial = WiredInterrupt.OfIsa(in madt, 4);
        Assert.Equal((4u, false, false), (serial.Number, serial.IsLevel, serial.IsActiveLow));
        Assert.True(WiredInterrupt.TryOfPciLine(in madt, 10, out WiredInterrupt ten));
        Assert.Equal((10u, true, false), (ten.Number, ten.IsLevel, ten.IsActiveLow));
        Assert.True(WiredInterrupt.TryOfPciLine(in madt, 19, out WiredInterrupt nineteen));
        Assert.Equal((19u, true, true), (nineteen.Number, nineteen.IsLevel, nineteen.IsActiveLow));
        Assert.False(WiredInterrupt.TryOfPciLine(in madt, 255, out _));
        Assert.False(WiredInterrupt.TryOfPciLine(in madt, 0, out _));
    }

    [Fact]
    public void IoApicInputsAreMaskedUntilRouted()
    {
        Madt none = default;
        none.Parse([]);
        IoApics.Initialize(in none);
        FakeIoApic first = new(), second = new();
        IoApics.Add(new DeviceRegisters(first, 0x20), 0);
        IoApics.Add(new DeviceRegisters(second, 0x20), 24);
        Assert.Equal(48u, IoApics.InputCount);
        for (int i = 0; i < 24; i++)
        {
            Assert.Equal(0x10000ul, first.Entry(i));
        }

        Assert.True(IoApics.TryRoute(new WiredInterrupt(29, true, true), 0x41, 3));
        Assert.Equal(0x03000000_0000a041ul, second.Entry(5));
        Assert.Equal(0x10000ul, first.Entry(5));
        Assert.True(IoApics.TryRoute(new WiredInterrupt(4, false, false), 0x42, 0));
        Assert.Equal(0x42ul, first.Entry(4));
        Assert.False(IoApics.TryRoute(new WiredInterrupt(48, true, true), 0x43, 0));
        Assert.False(IoApics.TryRoute(new WiredInterrupt(4, true, true), 0x43, 255));
    }

    [Fact]
    public void MessagesNameVectorAndCpu()
    {
        MessageSignal signal = DeviceInterrupts.Message(0x12, 0x45);
        Assert.Equal((0xfee12000ul, 0x45u), (signal.Address, signal.Data));
        InterruptVectors.Initialize();
        Madt madt = default;
        madt.Parse([]);
        Processors.Enumerate(in madt, 7);
        DeviceInterrupts interrupts = new();
        Assert.Equal(1, interrupts.CpuCount);
        Assert.True(interrupts.TryAllocate(new Counter(), out signal));
        Assert.Equal(0xfee07000ul, signal.Address);

        // A CPU that is not there: the boot CPU instead.
        Assert.True(interrupts.TryAllocate(new Counter(), 99, out MessageSignal other));
        Assert.Equal(0xfee07000ul, other.Address);
        Assert.NotEqual(signal.Data, other.Data);
    }

    [Fact]
    public void ProcessorsAreNumberedFromTheBootCpu()
    {
        byte[] table = new byte[44 + 24];
        for (int i = 0; i < 3; i++)
        {
            new byte[] { 0, 8, 0, (byte)(i * 2), 1, 0, 0, 0 }.CopyTo(table, 44 + i * 8);
        }

        Madt madt = default;
        madt.Parse(table);
        Processors.Enumerate(in madt, 2);
        Assert.Equal((3, 1), (Processors.Count, Processors.OnlineCount));
        Assert.Equal((2u, 0u, 4u), (Processors.ApicId(0), Processors.ApicId(1), Processors.ApicId(2)));
        Assert.True(Processors.IsOnline(0) && !Processors.IsOnline(1));
    }

    [Fact]
    public void DeferredHandlersRunOnceARound()
    {
        InterruptVectors.Initialize();
        DeferredHandlers.Initialize(1);
        Counter plain = new(), again = new();
        again.Again = again;
        SoftwareInterrupt.Last = -1;
        DeferredHandlers.RunLater(again);
        DeferredHandlers.RunLater(plain);
        DeferredHandlers.RunLater(plain);
        Assert.Equal(SystemVectors.Deferred, SoftwareInterrupt.Last);
        SoftwareInterrupt.Last = -1;
        InterruptVectors.Dispatch(SystemVectors.Deferred);
        Assert.Equal((1, 1), (plain.Calls, again.Calls));
        Assert.Equal(SystemVectors.Deferred, SoftwareInterrupt.Last);
        again.Again = null;
        SoftwareInterrupt.Last = -1;
        InterruptVectors.Dispatch(SystemVectors.Deferred);
        InterruptVectors.Dispatch(SystemVectors.Deferred);
        Assert.Equal((1, 2), (plain.Calls, again.Calls));
        Assert.Equal(-1, SoftwareInterrupt.Last);
    }
}
