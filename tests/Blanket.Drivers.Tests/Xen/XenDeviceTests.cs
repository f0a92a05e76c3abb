using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers.Tests.Fakes;
using Blanket.Drivers.Xen;
using Blanket.Drivers.Xen.Block;
using Blanket.Drivers.Xen.Net;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Xen;

/// <summary>Disks and interfaces from xenstore to the wire, with backends and a store that misbehave: that costs at most what is in flight.</summary>
public sealed class XenDeviceTests
{
    private const uint DiskId = 51712;

    private readonly RecordingBlockClient _client = new();
    private uint _nextTag;

    public static TheoryData<string> DiskLies => ["wrong id", "answered twice", "index jump", "page kept"];

    public static TheoryData<string> InterfaceLies => ["wrong id", "index jump", "receive index jump", "receive id"];

    [Theory]
    [InlineData(1, "0", "0", 11)]
    [InlineData(1, "0", "4", 32)]
    [InlineData(2, "2", "1", 11)]
    [InlineData(4, "8", "2", 256)]
    public void A_disk_is_written_and_read(int cpus, string queues, string order, int segments)
    {
        FakeXen xen = new(cpus);
        FakeVbd backend = new(xen, DiskId, ("multi-queue-max-queues", queues), ("max-ring-page-order", order)) { MaximumSegments = segments };
        XenBlockDevice device = Open(xen);
        Assert.Equal(4096ul, device.Geometry.Sectors);
        Assert.True(device.Geometry.HasFlush);
        Assert.False(device.Geometry.IsReadOnly);
        Assert.Equal(Math.Min(cpus, 4), device.QueueCount);
        for (int queue = 0; queue < device.QueueCount; queue++)
        {
            byte[] bytes = Bytes(20 * 4096, queue);
            DmaSegment[] pages = Pages(20);
            Fill(pages, bytes);
            Submit(device, BlockOperation.Write, queue, (ulong)(queue * 160), pages);
            xen.Run();
            Assert.Equal(bytes, backend.Contents.AsSpan(queue * bytes.Length, bytes.Length).ToArray());
            DmaSegment[] copies = Pages(20);
            Submit(device, BlockOperation.Read, queue, (ulong)(queue * 160), copies);
            xen.Run();
            Assert.Equal(bytes, Read(copies));
        }

        Assert.Equal(2 * device.QueueCount, _client.Ended.Count);
        Assert.All(_client.Ended, ended => Assert.Equal(BlockStatus.Success, ended.Status));
    }

    [Fact]
    public void A_request_that_the_disk_must_not_see_ends_before()
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId);
        XenBlockDevice device = Open(xen);
        Submit(device, BlockOperation.Read, 0, 4096, Pages(1));
        Submit(device, BlockOperation.Discard, 0, 0, []);
        xen.Run();
        Assert.Equal([BlockStatus.Error, BlockStatus.Unsupported], _client.Ended.Select(ended => ended.Status));
        Assert.Empty(backend.Rings[0].Journal);
    }

    [Fact]
    public void A_new_size_is_told_while_the_disk_is_used()
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId);
        XenBlockDevice device = Open(xen);
        int changes = _client.Changes;
        backend.Set("sectors", "2048");
        backend.State = XenbusState.Connected;
        xen.Run();
        Assert.Equal(2048ul, device.Geometry.Sectors);
        Assert.Equal(changes + 1, _client.Changes);
        Assert.Equal(1, backend.Connections);
    }

    [Fact]
    public void A_transaction_that_meets_a_conflict_is_written_again()
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId);
        xen.Store.Conflicts = 3;
        Assert.True(Open(xen).IsConnected);
        Assert.Equal(1, backend.Connections);
    }

    [Fact]
    public void What_is_in_flight_when_a_backend_closes_is_done_by_the_next()
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId) { IsAutomatic = false };
        XenBlockDevice device = Open(xen);
        byte[] bytes = Bytes(4096, 1);
        DmaSegment[] pages = Pages(1);
        Fill(pages, bytes);
        Submit(device, BlockOperation.Write, 0, 8, pages);
        xen.Run();
        backend.Close();
        xen.Run();
        Assert.Equal(2, backend.Connections);
        Assert.Empty(_client.Ended);
        backend.IsAutomatic = true;
        xen.Run();
        Assert.Equal([BlockStatus.Success], _client.Ended.Select(ended => ended.Status));
        Assert.Equal(bytes, backend.Contents.AsSpan(8 * 512, 4096).ToArray());
    }

    [Theory]
    [InlineData("1")]
    [InlineData("2")]
    public void A_backend_that_takes_fewer_queues_does_what_the_others_had_in_flight(string queues)
    {
        FakeXen xen = new(4);
        FakeVbd backend = new(xen, DiskId, ("multi-queue-max-queues", "4")) { IsAutomatic = false };
        XenBlockDevice device = Open(xen);
        List<byte[]> written = [];
        for (int i = 0; i < 48; i++)
        {
            written.Add(Bytes(3 * 4096, i));
            DmaSegment[] pages = Pages(3);
            Fill(pages, written[i]);
            Submit(device, BlockOperation.Write, i % 4, (ulong)(i * 24), pages);
        }

        xen.Run();
        backend.Set("multi-queue-max-queues", queues);
        backend.Close();
        backend.IsAutomatic = true;
        xen.Run();
        Assert.Equal(int.Parse(queues, System.Globalization.CultureInfo.InvariantCulture), backend.Rings.Count);
        Assert.Equal(Enumerable.Range(0, 48).Select(tag => (uint)tag), _client.Ended.Select(ended => ended.Tag).Order());
        Assert.All(_client.Ended, ended => Assert.Equal(BlockStatus.Success, ended.Status));
        for (int i = 0; i < written.Count; i++)
        {
            Assert.Equal(written[i], backend.Contents.AsSpan(i * 24 * 512, written[i].Length).ToArray());
        }

        // All of the client's queues go on, and more of the backend's can come back.
        backend.Set("multi-queue-max-queues", "3");
        backend.Close();
        xen.Run();
        Assert.Equal(3, backend.Rings.Count);
        _client.Ended.Clear();
        for (int queue = 0; queue < 4; queue++)
        {
            Submit(device, BlockOperation.Read, queue, 0, Pages(1));
        }

        xen.Run();
        Assert.Equal(4, _client.Ended.Count(ended => ended.Status == BlockStatus.Success));
    }

    [Fact]
    public void Without_a_backend_requests_end_with_errors_until_one_comes_back()
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId) { IsAutomatic = false };
        XenBlockDevice device = Open(xen);
        Submit(device, BlockOperation.Read, 0, 0, Pages(1));
        xen.Run();
        backend.Remove();
        xen.Run();
        Assert.True(device.IsFailed);
        Submit(device, BlockOperation.Read, 0, 0, Pages(1));
        xen.Run();
        Assert.Equal([BlockStatus.Error, BlockStatus.Error], _client.Ended.Select(ended => ended.Status));
        Assert.Equal(1, xen.OpenPorts);

        backend.IsAutomatic = true;
        backend.Set("online", "1");
        backend.State = XenbusState.InitWait;
        xen.Run();
        RequireWorking(xen, device);
    }

    [Theory]
    [MemberData(nameof(DiskLies))]
    public void A_disk_that_lies_costs_what_is_in_flight(string lie)
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId) { IsAutomatic = false };
        XenBlockDevice device = Open(xen);
        for (int i = 0; i < 4; i++)
        {
            Submit(device, BlockOperation.Read, 0, 0, Pages(1));
        }

        FakeBlkback ring = backend.Rings[0];
        List<BlkRequest> requests = ring.Take();
        uint kept = requests[0].Segments[0].Reference;
        switch (lie)
        {
            case "wrong id":
                ring.Answer(0x1234, 0);
                break;
            case "answered twice":
                ring.Finish(requests[0]);
                ring.Answer(requests[0].Id, 0);
                break;
            case "index jump":
                ring.Expose(100);
                break;
            default:
                ring.Hold(kept);
                ring.Finish(requests[0]);
                break;
        }

        xen.Raise(backend.Ports[0]);
        xen.Run();
        if (lie == "page kept")
        {
            // The page is not the client's before the backend lets go.
            Assert.Equal(3, _client.Ended.Count);
            ring.Drop(kept);
        }

        backend.IsAutomatic = true;
        RequireWorking(xen, device);
        Assert.Equal(5, _client.Ended.Count);
        Assert.Equal(lie == "answered twice" ? 3 : 4, _client.Ended.Count(ended => ended.Status == BlockStatus.Error));
        Assert.Equal(2, backend.Connections);
        Assert.Contains("xen vbd 51712 queue 0: ", xen.Machine.LogText.Text, StringComparison.Ordinal);
    }

    /// <summary>Whatever a store does, disks that are connected go on, and nothing crashes.</summary>
    [Theory]
    [InlineData("ends")]
    [InlineData("request index")]
    [InlineData("response index")]
    [InlineData("long message")]
    [InlineData("answer without request")]
    [InlineData("wild event")]
    public void Disks_go_on_without_a_store(string what)
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId);
        XenBlockDevice device = Open(xen);
        switch (what)
        {
            case "ends":
                xen.Store.IsDead = true;
                break;
            case "request index":
                xen.Store.Damage(XenStoreWire.RequestConsumer, 0x1234_5678);
                Assert.True(xen.Transport.Store.TryRead(0, "anything"u8, new Nobody()));
                xen.Store.IsDead = true;
                break;
            case "response index":
                xen.Store.Damage(XenStoreWire.ResponseProducer, 0x1234_5678);
                xen.Store.IsDead = true;
                break;
            case "long message":
                xen.Store.Send(XenStoreMessage.Read, 1, new string('x', 5000));
                break;
            case "answer without request":
                xen.Store.Send(XenStoreMessage.Read, 0xffff_0000, "value");
                break;
            default:
                xen.Store.Send(XenStoreMessage.WatchEvent, 0, "path\0999\0");
                break;
        }

        xen.Run();
        Assert.Equal(what != "ends", xen.Transport.Store.IsBroken);
        RequireWorking(xen, device);

        // A backend that breaks its ring cannot be opened again now.
        backend.IsAutomatic = false;
        Submit(device, BlockOperation.Read, 0, 0, Pages(1));
        backend.Rings[0].Expose(100);
        xen.Raise(backend.Ports[0]);
        xen.Run();
        Assert.Equal(BlockStatus.Error, _client.Ended[^1].Status);
    }

    [Theory]
    [InlineData("sectors", "none")]
    [InlineData("sectors", "99999999999999999999")]
    [InlineData("sector-size", "65536")]
    public void A_disk_whose_properties_make_no_sense_is_not_used(string name, string value)
    {
        FakeXen xen = new();
        FakeVbd backend = new(xen, DiskId);
        backend.Set(name, value);
        XenBlockDevice device = new(xen.Transport, DiskId);
        Assert.True(device.CreateQueues());
        device.Disk.Client = _client;
        device.Start();
        for (int i = 0; i < 200 && backend.Connections < 2; i++)
        {
            xen.Store.Process();
            backend.Process();
            xen.Transport.Store.Process();
        }

        Assert.False(device.IsConnected);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_restored_machine_goes_on(int cpus)
    {
        FakeXen xen = new(cpus);
        FakeVbd backend = new(xen, DiskId, ("multi-queue-max-queues", "4")) { IsAutomatic = false };
        XenBlockDevice device = Open(xen);
        for (int i = 0; i < 9; i++)
        {
            Submit(device, BlockOperation.Write, i % device.QueueCount, (ulong)(8 * i), Pages(1));
        }

        xen.Run();
        xen.Restore();
        device.Restore();
        backend.IsAutomatic = true;
        xen.Run();
        Assert.Equal(9, _client.Ended.Count(ended => ended.Status == BlockStatus.Success));
        RequireWorking(xen, device);
    }

    [Theory]
    [InlineData(1, "0")]
    [InlineData(2, "2")]
    [InlineData(4, "2")]
    public void An_interface_sends_and_receives(int cpus, string queues)
    {
        FakeXen xen = new(cpus);
        FakeVif backend = NewVif(xen, queues);
        XenNetDevice device = OpenNet(xen, out RecordingNetworkClient client);
        Assert.Equal([0, 0x16, 0x3e, 1, 0xab, 0xCD], device.MacAddress.ToArray());
        Assert.Equal(1400, device.Capabilities.Mtu);
        Assert.True(device.Interface.IsLinkUp);
        for (int queue = 0; queue < device.QueueCount; queue++)
        {
            Send(device, queue, Bytes(1000 + queue, queue), 40u + (uint)queue);
        }

        xen.Run();
        Assert.Equal(Enumerable.Range(0, device.QueueCount).Select(queue => 40u + (uint)queue), client.SentTags.Order());
        Assert.Equal(device.QueueCount, client.Packets.Count);
        Assert.All(client.Packets, packet => Assert.Contains(packet.Packet.Length - 1000, Enumerable.Range(0, device.QueueCount)));
        Assert.Equal(1, backend.Connections);
    }

    /// <summary>A backend without scatter-gather gets each packet in one slot.</summary>
    [Fact]
    public void A_packet_in_pieces_is_copied_for_a_backend_that_takes_none()
    {
        FakeXen xen = new();
        FakeVif backend = new(xen, 0, ("feature-rx-copy", "1")) { IsAutomatic = false };
        XenNetDevice device = OpenNet(xen, out RecordingNetworkClient client);
        byte[] packet = Bytes(1500, 1);
        Send(device, 0, packet, 1);
        Send(device, 0, Bytes(5000, 2), 2);
        NetbackPacket sent = backend.Pairs[0].Take()!;
        Assert.Single(sent.Slots);
        Assert.Equal(packet, sent.Bytes);
        Assert.Null(backend.Pairs[0].Take());
        backend.Pairs[0].Answer(sent);
        xen.Raise(backend.Ports[0]);
        xen.Run();
        Assert.Equal([1u, 2u], client.SentTags.Order());
    }

    [Theory]
    [MemberData(nameof(InterfaceLies))]
    public void An_interface_that_lies_is_opened_again(string lie)
    {
        FakeXen xen = new();
        FakeVif backend = NewVif(xen, "0");
        backend.IsAutomatic = false;
        XenNetDevice device = OpenNet(xen, out RecordingNetworkClient client);
        Send(device, 0, Bytes(1000, 1), 1);
        FakeNetback pair = backend.Pairs[0];
        switch (lie)
        {
            case "wrong id":
                pair.AnswerRaw(999, 0);
                break;
            case "index jump":
                pair.ExposeSent(100);
                break;
            case "receive index jump":
                pair.Expose(1000);
                break;
            default:
                pair.TakeBuffer();
                pair.PlaceRaw(new NetifReceiveResponse { Id = 77, Status = 100 });
                pair.Expose();
                break;
        }

        xen.Raise(backend.Ports[0]);
        xen.Run();
        Assert.Equal(2, backend.Connections);
        Assert.Equal([1u], client.SentTags);
        backend.IsAutomatic = true;
        client.Fill(0, 100);
        Send(device, 0, Bytes(1000, 2), 2);
        xen.Run();
        Assert.Equal([1u, 2u], client.SentTags);
        Assert.Single(client.Packets);
    }

    [Fact]
    public void An_interface_goes_on_after_a_restore_and_learns_its_new_properties()
    {
        FakeXen xen = new(2);
        FakeVif backend = NewVif(xen, "2");
        XenNetDevice device = OpenNet(xen, out RecordingNetworkClient client);
        xen.Restore();
        xen.Store.Set("device/vif/0/mac", "00:16:3e:00:00:09");
        device.Restore();
        xen.Run();
        Assert.Equal(9, device.MacAddress[5]);
        for (int queue = 0; queue < 2; queue++)
        {
            client.Fill(queue, 50);
            Send(device, queue, Bytes(1000, 2), 2);
        }

        xen.Run();
        Assert.Equal(2, client.Packets.Count);
        Assert.Equal(2, backend.Connections);
    }

    [Fact]
    public void Boot_finds_disks_and_interfaces_in_the_order_of_their_numbers()
    {
        FakeXen xen = new();
        foreach (uint id in new uint[] { 51744, 51712, (1u << 28) | (16 << 8), 768 })
        {
            _ = new FakeVbd(xen, id);
        }

        _ = NewVif(xen, "0");
        DeviceCollection found = new();
        xen.AnswersAtOnce = true;
        XenDevices.CreateAll(xen.Transport, found);
        Assert.Equal((3, 1), (found.DiskCount, found.NetworkCount));
    }

    private static FakeVif NewVif(FakeXen xen, string queues)
    {
        FakeVif backend = new(
            xen, 0, ("feature-rx-copy", "1"), ("feature-sg", "1"), ("feature-gso-tcpv4", "1"), ("multi-queue-max-queues", queues));
        xen.Store.Set("device/vif/0/mac", "00:16:3e:01:ab:CD");
        xen.Store.Set("device/vif/0/mtu", "1400");
        return backend;
    }

    private static byte[] Bytes(int count, int seed)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static DmaSegment[] Pages(int count) => [.. Enumerable.Range(0, count).Select(_ => new DmaSegment(FakeMachine.NewPage(), 4096))];

    private static void Fill(DmaSegment[] pages, byte[] bytes)
    {
        for (int i = 0; i < pages.Length; i++)
        {
            bytes.AsSpan(4096 * i, 4096).CopyTo(PhysicalMemory.Bytes(pages[i].Address, 4096));
        }
    }

    private static byte[] Read(DmaSegment[] pages) => [.. pages.SelectMany(page => PhysicalMemory.Bytes(page.Address, 4096).ToArray())];

    private static void Send(XenNetDevice device, int queue, byte[] packet, uint tag)
    {
        List<DmaSegment> segments = [];
        for (int done = 0; done < packet.Length; done += 700)
        {
            int part = Math.Min(700, packet.Length - done);
            ulong page = FakeMachine.NewPage();
            packet.AsSpan(done, part).CopyTo(PhysicalMemory.Bytes(page, part));
            segments.Add(new DmaSegment(page, (uint)part));
        }

        Assert.True(device.Interface.TrySend(queue, segments.ToArray(), default, tag));
        device.Interface.Kick(queue);
    }

    private static XenNetDevice OpenNet(FakeXen xen, out RecordingNetworkClient client)
    {
        XenNetDevice device = new(xen.Transport, 0);
        Assert.True(device.CreateQueues());
        client = new RecordingNetworkClient(device.Interface);
        device.Interface.Client = client;
        device.Start();
        xen.Run();
        Assert.True(device.IsConnected, xen.Machine.LogText.Text);
        for (int queue = 0; queue < device.QueueCount; queue++)
        {
            if (device.Route(queue) == queue)
            {
                client.Fill(queue, 100);
            }
        }

        return device;
    }

    private XenBlockDevice Open(FakeXen xen)
    {
        XenBlockDevice device = new(xen.Transport, DiskId);
        Assert.True(device.CreateQueues());
        device.Disk.Client = _client;
        device.Start();
        xen.Run();
        Assert.True(device.IsConnected, xen.Machine.LogText.Text);
        return device;
    }

    private void Submit(XenBlockDevice device, BlockOperation operation, int queue, ulong sector, DmaSegment[] segments)
    {
        BlockRequest request = new() { Operation = operation, Sector = sector, Tag = _nextTag++ };
        Assert.True(device.Disk.TrySubmit(queue, in request, segments));
        device.Disk.Kick(queue);
    }

    private void RequireWorking(FakeXen xen, XenBlockDevice device)
    {
        xen.Run();
        uint tag = _nextTag;
        Submit(device, BlockOperation.Read, 0, 0, Pages(1));
        xen.Run();
        Assert.Contains((tag, BlockStatus.Success), _client.Ended);
    }

    private sealed class Nobody : StoreReply
    {
        public override void Completed(XenStoreError error, ReadOnlySpan<byte> value)
        {
        }
    }
}
