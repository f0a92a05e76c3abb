using System;
using System.Linq;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class RingTests
{
    private readonly StoreFixture _fixture = new();

    [Fact]
    public void IntroductionPreparesThePage()
    {
        TestRing ring = new();
        Array.Fill(ring.Page, (byte)0xa5);
        ring[XenStoreWire.Connection] = XenStoreWire.Reconnect;
        Assert.Equal(XenStoreError.None, _fixture.Store.Introduce(4, ring));
        Assert.Equal(0u, ring[XenStoreWire.RequestConsumer]);
        Assert.Equal(0u, ring[XenStoreWire.RequestProducer]);
        Assert.Equal(0u, ring[XenStoreWire.ResponseConsumer]);
        Assert.Equal(0u, ring[XenStoreWire.ResponseProducer]);
        Assert.Equal(7u, ring[XenStoreWire.ServerFeatures]);
        Assert.Equal(XenStoreWire.Connected, ring[XenStoreWire.Connection]);
        Assert.Equal(XenStoreWire.ErrorNone, ring[XenStoreWire.ConnectionError]);
        Assert.Equal(1, ring.Notified);
        Assert.All(ring.Page[2076..], b => Assert.Equal(0xa5, b));
    }

    [Fact]
    public void IndexesWrapAround()
    {
        Guest guest = _fixture.AddGuest(1);
        foreach (int offset in new[] { XenStoreWire.RequestConsumer, XenStoreWire.RequestProducer, XenStoreWire.ResponseConsumer, XenStoreWire.ResponseProducer })
        {
            guest.Ring[offset] = 0xfffffff0;
        }

        string value = new('v', 1900);
        Assert.Equal("OK", guest.Write("a", value));
        Assert.Equal(value, guest.Read("a"));
        Assert.True(guest.Ring[XenStoreWire.RequestConsumer] < 0x10000);
    }

    [Fact]
    public void RequestsMayArriveByteByByte()
    {
        Guest guest = _fixture.AddGuest(1);
        byte[] message = Guest.Build((uint)XenStoreMessage.GetDomainPath, 3, 0, "1\0"u8.ToArray());
        foreach (byte b in message)
        {
            Assert.Empty(guest.Replies);
            Assert.Equal(1, guest.Push([b]));
            guest.Pump();
        }

        Assert.Equal("/local/domain/1\0", Guest.Text(guest.Replies.Dequeue().Payload));
    }

    [Fact]
    public void SeveralRequestsAtOnceAreAnsweredInOrder()
    {
        Guest guest = _fixture.AddGuest(1);
        for (uint i = 1; i <= 20; i++)
        {
            byte[] message = Guest.Build((uint)XenStoreMessage.GetDomainPath, i, 0, "1\0"u8.ToArray());
            Assert.Equal(message.Length, guest.Push(message));
        }

        guest.Pump();
        Assert.Equal(Enumerable.Range(1, 20).Select(i => (uint)i), guest.Replies.Select(r => r.Request));
    }

    [Fact]
    public void EmptyPayloadsAreComplete()
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("EINVAL", guest.Ask(XenStoreMessage.Read, ""));
        uint transaction = uint.Parse(guest.Ask(XenStoreMessage.TransactionStart, ""), System.Globalization.CultureInfo.InvariantCulture);
        Assert.NotEqual(0u, transaction);
    }

    [Fact]
    public void FullResponseRingHoldsRequestsBackAndLosesNothing()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Write("a", new string('x', 700));
        for (uint i = 1; i <= 10; i++)
        {
            guest.Push(Guest.Build((uint)XenStoreMessage.Read, 100 + i, 0, "a\0"u8.ToArray()));
        }

        _fixture.Store.RingNotified(1);
        _fixture.Run();
        Assert.Equal(1024u, guest.Ring[XenStoreWire.ResponseProducer] - guest.Ring[XenStoreWire.ResponseConsumer]);
        for (int i = 0; i < 20; i++)
        {
            guest.Pump();
        }

        Assert.Equal(Enumerable.Range(101, 10).Select(i => (uint)i), guest.Replies.Select(r => r.Request));
        Assert.All(guest.Replies, r => Assert.Equal(700, r.Payload.Length));
    }

    [Fact]
    public void RequestsAreStillReadWhileEventsWait()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.TakeEvents();
        for (int i = 0; i < 100; i++)
        {
            _fixture.Domain0.Write($"/local/domain/1/a/{i}", "");
        }

        // The response ring is full of events. A request longer than the ring must get in all the same.
        byte[] message = Guest.Build((uint)XenStoreMessage.Write, 9, 0, [.. "big\0"u8, .. new byte[1500]]);
        int sent = 0;
        for (int i = 0; i < 10 && sent < message.Length; i++)
        {
            sent += guest.Push(message.AsSpan(sent));
            _fixture.Store.RingNotified(1);
            _fixture.Run();
        }

        Assert.Equal(message.Length, sent);
        Assert.Equal(101, guest.TakeEvents().Count + _fixture.Store.Usage.Events + guest.Replies.Count);
        Assert.Equal(XenStoreMessage.Write, guest.Replies.Dequeue().Type);
    }

    [Theory]
    [InlineData(1025u, 0u)]
    [InlineData(0u, 1u)]
    [InlineData(0x80000000u, 0u)]
    public void RequestIndexesOutOfRangeBreakTheConnection(uint producer, uint consumer)
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.Start();
        guest.Ring[XenStoreWire.RequestProducer] = producer;
        guest.Ring[XenStoreWire.RequestConsumer] = consumer;
        AssertBroken(guest, XenStoreWire.ErrorRingIndex);
    }

    [Fact]
    public void ResponseIndexesOutOfRangeBreakTheConnection()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.Send(XenStoreMessage.Read, "a\0");
        guest.Ring[XenStoreWire.ResponseConsumer] += 1;
        AssertBroken(guest, XenStoreWire.ErrorRingIndex);
    }

    [Fact]
    public void TooLongPayloadBreaksTheConnection()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        byte[] message = Guest.Build((uint)XenStoreMessage.Read, 1, 0, []);
        message[12] = 1;
        message[13] = 0x10; // 4,097
        guest.Push(message);
        AssertBroken(guest, XenStoreWire.ErrorProtocol);
    }

    [Fact]
    public void LongestPayloadIsFine()
    {
        Guest domain0 = _fixture.Domain0;
        string value = new('x', 4096 - 3);
        Assert.Equal("OK", domain0.Write("/x", value));
        Assert.Equal(value, domain0.Read("/x"));
    }

    [Fact]
    public void ReconnectionStartsOver()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Write("a", "1");
        guest.Watch("a", "t");
        guest.Start();
        guest.Push(new byte[7]);
        guest.Pump();
        guest.Ring[XenStoreWire.Connection] = XenStoreWire.Reconnect;
        _fixture.Store.RingNotified(1);
        _fixture.Run();
        Assert.Equal(XenStoreWire.Connected, guest.Ring[XenStoreWire.Connection]);
        Assert.Equal(0, _fixture.Store.Usage.Watches);
        Assert.Equal(0, _fixture.Store.Usage.Transactions);
        Assert.Equal(0, _fixture.Store.Usage.Events);
        guest.Forget();
        Assert.Equal("1", guest.Read("a"));
        Assert.Equal("OK", guest.Write("a", "2"));
        Assert.Empty(guest.TakeEvents());
    }

    [Fact]
    public void BrokenConnectionCanReconnect()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Ring[XenStoreWire.RequestProducer] = 5000;
        AssertBroken(guest, XenStoreWire.ErrorRingIndex);
        guest.Ring[XenStoreWire.Connection] = XenStoreWire.Reconnect;
        guest.Forget();
        _fixture.Store.RingNotified(1);
        _fixture.Run();
        Assert.Equal(XenStoreWire.ErrorNone, guest.Ring[XenStoreWire.ConnectionError]);
        Assert.Equal("OK", guest.Write("a", "2"));
    }

    [Fact]
    public void BrokenConnectionIsReleasedLikeAnyOther()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Write("a", "1");
        guest.Ring[XenStoreWire.RequestProducer] = 5000;
        AssertBroken(guest, XenStoreWire.ErrorRingIndex);
        _fixture.Domain0.Watch("@releaseDomain", "r");
        _fixture.Domain0.TakeEvents();
        Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain(1));
        Assert.Single(_fixture.Domain0.TakeEvents());
        Assert.True(guest.Ring.Closed);
    }

    [Fact]
    public void ManyGuestsAreServedInTurn()
    {
        Guest[] guests = [.. Enumerable.Range(1, 8).Select(i => _fixture.AddGuest((ushort)i))];
        foreach (Guest guest in guests)
        {
            for (uint i = 0; i < 20; i++)
            {
                guest.Push(Guest.Build((uint)XenStoreMessage.GetDomainPath, i, 0, "1\0"u8.ToArray()));
            }

            _fixture.Store.RingNotified(guest.Domid);
        }

        // Each turn is one request of one guest.
        Assert.True(_fixture.Store.Process(24));
        foreach (Guest guest in guests)
        {
            guest.Take();
            Assert.InRange(guest.Replies.Count, 2, 4);
        }
    }

    private void AssertBroken(Guest guest, uint error)
    {
        int notified = guest.Ring.Notified;
        _fixture.Store.RingNotified(guest.Domid);
        _fixture.Run();
        Assert.Equal(error, guest.Ring[XenStoreWire.ConnectionError]);
        Assert.True(guest.Ring.Notified > notified);
        Assert.Equal(0, _fixture.Store.Usage.Watches);
        Assert.Equal(0, _fixture.Store.Usage.Transactions);
        byte[] page = [.. guest.Ring.Page];
        _fixture.Store.RingNotified(guest.Domid);
        _fixture.Run();
        Assert.Equal(page, guest.Ring.Page);
        Assert.Equal("n0", _fixture.Domain0.GetPermissions("/"));
        Assert.True(_fixture.Store.IsSound);
    }
}
