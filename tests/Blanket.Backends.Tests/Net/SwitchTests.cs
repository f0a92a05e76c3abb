using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Drivers;
using FsCheck.Xunit;

namespace Blanket.Backends.Tests;

/// <summary>The switch against a model: a dictionary from addresses to ports.</summary>
public sealed class SwitchTests
{
    [Property(MaxTest = 12)]
    public void Packets_go_where_the_model_says(int seed)
    {
        TestMachine machine = new(4096);
        NetworkSwitch network = NetworkSwitch.Create(machine.Host, (ulong)seed)!;
        Random random = new(seed);
        FakeNic[] nics = Enumerable.Range(0, 5).Select(_ => new FakeNic(bufferSize: 2048)).ToArray();
        foreach (FakeNic nic in nics)
        {
            Assert.Equal(0, network.CreateUplink(nic));
        }

        Dictionary<int, (int Port, ulong Seen)> model = new();
        for (int step = 0; step < 300; step++)
        {
            machine.Now += (ulong)random.Next(20) * 1_000_000_000;
            int from = random.Next(5);
            int source = random.Next(20);
            int destination = random.Next(20);
            bool isBroadcast = random.Next(8) == 0;
            byte[] packet = Frames.Plain(isBroadcast ? Frames.Broadcast : Frames.Mac(destination), Frames.Mac(source), random.Next(60, 400), (byte)step);
            model[source] = (from, machine.Now);
            Assert.True(nics[from].Receive(packet));
            bool isKnown = !isBroadcast && model.TryGetValue(destination, out (int Port, ulong Seen) entry)
                && machine.Now / 1_000_000_000 - entry.Seen / 1_000_000_000 <= MacTable.MaximumAge;
            for (int port = 0; port < 5; port++)
            {
                nics[port].Finish();
                bool expected = port != from && (!isKnown || model[destination].Port == port);
                Assert.Equal(expected ? [packet] : new List<byte[]>(), nics[port].Sent.Select(sent => sent.Bytes));
                nics[port].Sent.Clear();
                Assert.Equal(64, nics[port].BufferCount());
            }
        }
    }

    [Fact]
    public void A_port_cannot_fill_the_table()
    {
        MacTable table = new(77);
        for (ulong address = 0; address < 100_000; address++)
        {
            table.Learn(address, 3, 10);
        }

        Assert.Equal(MacTable.CapacityOfPort, Enumerable.Range(0, 100_000).Count(address => table.Find((ulong)address, 10) == 3));
        table.Learn(200_000, 4, 10);
        Assert.Equal(4, table.Find(200_000, 10));
        Assert.Equal(MacTable.None, table.Find(200_000, 11 + MacTable.MaximumAge));
        table.Forget(3);
        Assert.Equal(0, Enumerable.Range(0, 100_000).Count(address => table.Find((ulong)address, 10) == 3));
        table.Learn(5, 3, 10);
        Assert.Equal(3, table.Find(5, 10));
    }

    [Fact]
    public void Addresses_that_were_seen_later_are_not_old()
    {
        MacTable table = new(77);
        table.Learn(5, 3, 11);
        Assert.Equal(3, table.Find(5, 10));
    }

    [Fact]
    public void Fixed_addresses_stay()
    {
        MacTable table = new(77);
        table.Learn(5, 1, 10);
        Assert.True(table.TryFix(5, 2, 10));
        Assert.False(table.TryFix(5, 3, 10));
        table.Learn(5, 1, 10);
        Assert.Equal(2, table.Find(5, 100_000));
        Assert.True(table.IsTaken(5, 1));
        Assert.False(table.IsTaken(5, 2));
        table.Forget(2);
        Assert.Equal(MacTable.None, table.Find(5, 10));
    }

    [Fact]
    public void Aged_addresses_make_room()
    {
        MacTable table = new(77);
        for (ulong address = 0; address < MacTable.CapacityOfPort; address++)
        {
            table.Learn(address, 1, 0);
        }

        for (int port = 2; port < 12; port++)
        {
            for (int i = 0; i < MacTable.CapacityOfPort; i++)
            {
                table.Learn((ulong)(port * 1000 + i), port, 1000);
            }
        }

        int found = Enumerable.Range(0, MacTable.CapacityOfPort).Count(i => table.Find((ulong)(11000 + i), 1000) == 11);
        Assert.InRange(found, 1, MacTable.CapacityOfPort);
    }

    [Fact]
    public void Uplinks_have_one_user_and_are_counted()
    {
        TestMachine machine = new(4096);
        NetworkSwitch network = NetworkSwitch.Create(machine.Host, 1)!;
        FakeNic nic = new();
        Assert.Equal(0, network.CreateUplink(nic));
        Assert.Equal(-Blanket.Abi.Xen.Errno.EBUSY, network.CreateUplink(nic));
        nic.Receive(Frames.Plain(Frames.Mac(1), Frames.Mac(2), 100));
        Assert.Equal(1ul, network.StatisticsOf(0).PacketsIn);
        Assert.Equal(100ul, network.StatisticsOf(0).BytesIn);
        Assert.Equal(0ul, network.StatisticsOf(99).PacketsIn);
    }
}
