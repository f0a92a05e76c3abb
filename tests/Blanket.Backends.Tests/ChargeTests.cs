using System;
using System.Linq;
using Blanket.Abi.Xen.Io;

namespace Blanket.Backends.Tests;

/// <summary>Who pays for the time in which backends work.</summary>
public sealed class ChargeTests
{
    private const uint Xvda = 51712;

    private readonly TestMachine _machine = new(4096);
    private readonly NetworkSwitch _switch;

    public ChargeTests() => _switch = NetworkSwitch.Create(_machine.Host, 12345)!;

    private FakeNetfront.Queue ConnectVif(TestGuest guest)
    {
        VifSettings settings = new() { DeviceId = 0, Mtu = 1500 };
        Frames.Mac(guest.Domain.Id).CopyTo(settings.Address);
        Assert.Equal(0, VifDevice.Create(_machine.Bus, _machine.Owner, guest.Domain, _switch, settings, out _));
        _machine.Settle();
        FakeNetfront front = new(guest, 0);
        front.Connect();
        return front.Queues[0];
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_guest_pays_for_the_end_of_its_request_in_anothers_time(bool isAnothers)
    {
        TestGuest guest = _machine.CreateGuest(1);
        TestGuest other = _machine.CreateGuest(2);
        FakeDisk disk = new(2048);
        VbdSettings settings = new() { VirtualDevice = Xvda };
        Assert.Equal(0, VbdDevice.Create(_machine.Bus, _machine.Owner, guest.Domain, disk, settings, out _));
        _machine.Settle();
        FakeBlkfront front = new(guest, Xvda);
        front.Connect();
        front.PutTransfer(0, BlkifOperation.Read, 1, 0, [new Segment(guest.Grant(guest.NewFrame()), 0, 7)]);
        front.Rings[0].Push();
        Assert.Equal(1, disk.PendingCount);
        _machine.Payers.Clear();

        _machine.Running = isAnothers ? other.Domain : guest.Domain;
        disk.CompleteAll();
        Assert.Single(front.Take());
        Assert.Equal(isAnothers ? [guest.Domain] : [], _machine.Payers);
    }

    [Fact]
    public void Nobody_pays_for_time_that_no_guest_uses()
    {
        TestGuest guest = _machine.CreateGuest(1);
        FakeNetfront.Queue queue = ConnectVif(guest);
        queue.Put(Frames.Plain(Frames.Mac(77), Frames.Mac(1), 100));
        queue.Transmit.Push();
        _machine.Settle();
        Assert.Empty(_machine.Payers);
    }

    [Fact]
    public void Who_sends_pays_for_receiving()
    {
        TestGuest first = _machine.CreateGuest(1);
        TestGuest second = _machine.CreateGuest(2);
        FakeNetfront.Queue sender = ConnectVif(first);
        FakeNetfront.Queue receiver = ConnectVif(second);
        _machine.Payers.Clear();
        _machine.Running = first.Domain;
        sender.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 100));
        sender.Transmit.Push();
        Assert.Single(receiver.Take());
        Assert.Empty(_machine.Payers);
    }

    [Fact]
    public void Its_guest_pays_for_what_was_put_off()
    {
        TestGuest first = _machine.CreateGuest(1);
        TestGuest second = _machine.CreateGuest(2);
        TestGuest third = _machine.CreateGuest(3);
        FakeNetfront.Queue sender = ConnectVif(first);
        FakeNetfront.Queue receiver = ConnectVif(second);
        for (int i = 0; i < 100; i++)
        {
            sender.Put(Frames.Plain(Frames.Mac(2), Frames.Mac(1), 100 + i));
        }

        _machine.MustGiveWay = true;
        _machine.Running = first.Domain;
        _machine.Payers.Clear();
        sender.Transmit.Push();
        Assert.Empty(_machine.Payers);

        _machine.Running = third.Domain;
        _machine.MustGiveWay = false;
        _machine.Settle();
        Assert.Equal(100, receiver.Take().Count());
        Assert.Contains(first.Domain, _machine.Payers);
        Assert.DoesNotContain(third.Domain, _machine.Payers);
    }
}
