using System;
using Blanket.Abi.Xen;
using Blanket.Drivers;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>What a start makes sure of before it creates a device is enough for its objects, which are much the same in both flavours.</summary>
public sealed class ObjectSizeTests
{
    private readonly TestMachine _machine = new(4096);

    [Fact]
    public void DevicesTakeWhatTheirStepOfTheStartMayTake()
    {
        TestGuest guest = _machine.CreateGuest(1, NetLimits.MaximumQueues);
        FakeDisk disk = new(2048, BlockLimits.MaximumQueues);
        NetworkSwitch network = NetworkSwitch.Create(_machine.Host, 1)!;
        ulong frame = guest.NewFrame();
        uint port = guest.NewPort();
        guest.GrantAt(0, frame);
        Measure(() => VbdDevice.Create(_machine.Bus, _machine.Owner, guest.Domain, disk, new VbdSettings { VirtualDevice = 51712 }, out _));
        Measure(() => VifDevice.Create(_machine.Bus, _machine.Owner, guest.Domain, network, new VifSettings { Mtu = 1500 }, out _));
        Measure(() => PrimaryConsole.Create(_machine.Bus, _machine.Owner, guest.Domain, null, frame, port, out _));
    }

    private static void Measure(Func<int> create)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(0, create());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1, BackendDevice.ObjectSize);
    }
}
