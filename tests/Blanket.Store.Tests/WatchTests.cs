using System;
using System.Linq;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class WatchTests
{
    private readonly StoreFixture _fixture = new();

    [Fact]
    public void FirstEventFollowsTheReply()
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("OK", guest.Watch("none/yet", "token"));
        Assert.Equal([("none/yet", "token")], guest.TakeEvents());
        Assert.Equal(["Watch", "event"], guest.Arrivals);
    }

    [Fact]
    public void EventsOfARequestPrecedeItsReply()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.TakeEvents();
        guest.Arrivals.Clear();
        guest.Write("a", "1");
        guest.TakeEvents();
        Assert.Equal(["event", "Write"], guest.Arrivals);
    }

    [Fact]
    public void ChangesAtAndBelowThePathFire()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("/local/domain/1/a", "t");
        guest.TakeEvents();
        guest.Write("a", "1");
        Assert.Equal([("/local/domain/1/a", "t")], guest.TakeEvents());
        guest.Write("a/b/c", "1");
        Assert.Equal([("/local/domain/1/a/b/c", "t")], guest.TakeEvents());
        guest.MakeDirectory("a/b/c");
        Assert.Empty(guest.TakeEvents());
        guest.MakeDirectory("a/d");
        Assert.Equal([("/local/domain/1/a/d", "t")], guest.TakeEvents());
        guest.SetPermissions("a/d", "n1 r2");
        Assert.Equal([("/local/domain/1/a/d", "t")], guest.TakeEvents());
        guest.Write("ab", "not below");
        guest.Read("a");
        Assert.Empty(guest.TakeEvents());
        guest.Remove("a/none");
        Assert.Empty(guest.TakeEvents());
    }

    [Fact]
    public void RelativeWatchesReportRelativePaths()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("device", "rel");
        guest.Watch("/local/domain/1/device", "abs");
        guest.TakeEvents();
        _fixture.Domain0.Write("/local/domain/1/device/vbd/0/state", "1");
        Assert.Equal(
            [("/local/domain/1/device/vbd/0/state", "abs"), ("device/vbd/0/state", "rel")],
            guest.TakeEvents().Order());
    }

    [Fact]
    public void RemovalFiresWatchesBelowWithTheirOwnPath()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Write("a/b/c", "1");
        guest.Write("a/d", "1");
        guest.Watch("a", "a");
        guest.Watch("a/b/c", "c");
        guest.Watch("a/b", "b");
        guest.Watch("a/none", "none");
        guest.TakeEvents();
        guest.Remove("a");
        Assert.Equal([("a/b/c", "c"), ("a/b", "b"), ("a", "a")], guest.TakeEvents());
    }

    [Fact]
    public void WatchOfTheRootSeesEverythingReadable()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("/", "root");
        guest.TakeEvents();
        _fixture.Domain0.Write("/elsewhere", "x");
        Assert.Empty(guest.TakeEvents());
        guest.Write("a", "x");
        Assert.Equal([("/local/domain/1/a", "root")], guest.TakeEvents());
    }

    [Fact]
    public void OnlyReadableNodesFire()
    {
        Guest owner = _fixture.AddGuest(1);
        Guest other = _fixture.AddGuest(2);
        owner.Write("open", "");
        owner.SetPermissions("open", "n1 r2");
        owner.Write("closed", "");
        other.Watch("/local/domain/1", "t");
        other.TakeEvents();
        owner.Write("closed", "1");
        Assert.Empty(other.TakeEvents());
        owner.Write("open", "1");
        Assert.Equal([("/local/domain/1/open", "t")], other.TakeEvents());

        // Losing access is told once; after that there is silence.
        owner.SetPermissions("open", "n1");
        Assert.Equal([("/local/domain/1/open", "t")], other.TakeEvents());
        owner.Write("open", "2");
        Assert.Empty(other.TakeEvents());

        // A readable parent is enough.
        owner.SetPermissions("open", "n1 r2");
        owner.Write("open/x", "");
        owner.SetPermissions("open/x", "n1");
        other.TakeEvents();
        owner.Write("open/x", "1");
        Assert.Equal([("/local/domain/1/open/x", "t")], other.TakeEvents());
    }

    [Fact]
    public void EqualWatchExists()
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("OK", guest.Watch("a", "t"));
        Assert.Equal("EEXIST", guest.Watch("a", "t"));
        Assert.Equal("EEXIST", guest.Watch("/local/domain/1/a", "t"));
        Assert.Equal("OK", guest.Watch("a", "u"));
        Assert.Equal("OK", guest.Watch("b", "t"));
        Assert.Equal("OK", _fixture.Domain0.Watch("/local/domain/1/a", "t"));
    }

    [Fact]
    public void UnwatchEndsExactlyOne()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.Watch("a", "u");
        guest.TakeEvents();
        Assert.Equal("ENOENT", guest.Unwatch("a", "none"));
        Assert.Equal("ENOENT", guest.Unwatch("b", "t"));
        Assert.Equal("ENOENT", guest.Unwatch("bad path", "t"));
        Assert.Equal("OK", guest.Unwatch("/local/domain/1/a", "t"));
        Assert.Equal("ENOENT", guest.Unwatch("a", "t"));
        guest.Write("a", "1");
        Assert.Equal([("a", "u")], guest.TakeEvents());
    }

    [Theory]
    [InlineData("a\0")]
    [InlineData("a")]
    [InlineData("")]
    [InlineData("a\0t\0x\0")]
    [InlineData("a\0t\01\02\0")]
    [InlineData("/a/\0t\0")]
    [InlineData("\0t\0")]
    [InlineData("a b\0t\0")]
    [InlineData("@releaseDomain\0t\02\0")]
    public void MalformedWatchesAreInvalid(string payload)
    {
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.Watch, payload));
        Assert.Equal(0, _fixture.Store.Usage.Watches);
    }

    [Fact]
    public void UnwatchTakesTwoStrings()
    {
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.Unwatch, "/a\0"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.Unwatch, "/a\0t\0u\0"));
    }

    [Theory]
    [InlineData(0, "a")]
    [InlineData(1, "a a/b")]
    [InlineData(2, "a a/b a/b/c")]
    public void DepthLimitsTheMatch(int depth, string expected)
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("OK", guest.Ask(XenStoreMessage.Watch, $"a\0t\0{depth}\0"));
        guest.TakeEvents();
        guest.Write("a", "");
        guest.Write("a/b", "");
        guest.Write("a/b/c", "");
        guest.Write("a/b/c/d", "");
        Assert.Equal(expected, string.Join(' ', guest.TakeEvents().Select(e => e.Path)));
    }

    [Fact]
    public void EqualWaitingEventsAreOne()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.TakeEvents();
        for (int i = 0; i < 500; i++)
        {
            Assert.Equal("OK", _fixture.Domain0.Write("/local/domain/1/a", $"{i}"));
            Assert.Equal("OK", _fixture.Domain0.Write("/local/domain/1/a/b", $"{i}"));
        }

        int events = guest.TakeEvents().Count;
        Assert.InRange(events, 2, 100);
        Assert.Equal(0, _fixture.Store.Usage.Events);
    }

    [Fact]
    public void SpecialWatchesTellOfDomains()
    {
        Guest domain0 = _fixture.Domain0;
        domain0.Watch("@introduceDomain", "i");
        domain0.Watch("@releaseDomain", "r");
        domain0.Watch("@releaseDomain/7", "seven");
        domain0.Ask(XenStoreMessage.Watch, "@releaseDomain\0deep\01\0");
        Assert.Equal(4, domain0.TakeEvents().Count);
        _fixture.AddGuest(6);
        _fixture.AddGuest(7);
        Assert.Contains(("@introduceDomain", "i"), domain0.TakeEvents());
        _fixture.Store.DestroyDomain(6);
        Assert.Equal([("@releaseDomain", "r"), ("@releaseDomain/6", "deep")], domain0.TakeEvents().Order());
        _fixture.Store.DestroyDomain(7);
        Assert.Equal(
            [("@releaseDomain", "r"), ("@releaseDomain/7", "deep"), ("@releaseDomain/7", "seven")],
            domain0.TakeEvents().Order());
    }

    [Fact]
    public void ResetEndsWatchesAndTransactions()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.Watch("b", "t");
        uint transaction = guest.Start();
        guest.TakeEvents();
        Assert.Equal("OK", guest.Ask(XenStoreMessage.ResetWatches, "\0"));
        guest.Write("a", "1");
        Assert.Empty(guest.TakeEvents());
        Assert.Equal("ENOENT", guest.Read("a", transaction));
        Assert.Equal(0, _fixture.Store.Usage.Watches);
        Assert.Equal(0, _fixture.Store.Usage.Transactions);
    }

    [Fact]
    public void ResetWithinATransactionIsFine()
    {
        Guest guest = _fixture.AddGuest(1);
        uint transaction = guest.Start();
        guest.Write("a", "1", transaction);
        Assert.Equal("OK", guest.Ask(XenStoreMessage.ResetWatches, "\0", transaction));
        Assert.Equal("ENOENT", guest.End(transaction));
        Assert.Equal("ENOENT", guest.Read("a"));
    }

    [Fact]
    public void TooLongEventsAreNotSent()
    {
        Guest domain0 = _fixture.Domain0;
        string token = new('t', 3000);
        Assert.Equal("OK", domain0.Watch("/a", token));
        Assert.Equal([("/a", token)], domain0.TakeEvents());
        Assert.Equal("OK", domain0.Write("/a/" + new string('b', 1500), ""));
        Assert.Empty(domain0.TakeEvents());
        Assert.Equal("OK", domain0.Write("/a/c", ""));
        Assert.Equal([("/a/c", token)], domain0.TakeEvents());
    }

    [Fact]
    public void EventsOfADomainThatDoesNotReadAreDroppedInTheEnd()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.TakeEvents();
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal("OK", _fixture.Domain0.Write($"/local/domain/1/a/{i}", ""));
        }

        Assert.InRange(_fixture.Store.Usage.Events, 100, 200);
        Assert.NotEqual(ulong.MaxValue, _fixture.Store.NextDeadline);
        _fixture.Host.Advance(19_000_000_000);
        _fixture.Run();
        Assert.InRange(_fixture.Store.Usage.Events, 100, 200);
        _fixture.Host.Advance(2_000_000_000);
        _fixture.Run();
        Assert.Equal(0, _fixture.Store.Usage.Events);
        Assert.Equal(ulong.MaxValue, _fixture.Store.NextDeadline);

        // What was in the ring is whole, and the connection goes on.
        Assert.InRange(guest.TakeEvents().Count, 1, 100);
        Assert.Equal("OK", guest.Write("a", "1"));
        Assert.Equal([("a", "t")], guest.TakeEvents());
    }

    [Fact]
    public void ReplyIsNotLostWhenEventsBeforeItExpire()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        guest.TakeEvents();
        for (int i = 0; i < 200; i++)
        {
            _fixture.Domain0.Write($"/local/domain/1/a/{i}", "");
        }

        guest.Send(XenStoreMessage.Write, "a\0v");
        _fixture.Store.RingNotified(1);
        _fixture.Run();
        Assert.Empty(guest.Replies);
        _fixture.Host.Advance(21_000_000_000);
        _fixture.Run();
        guest.Pump();
        guest.Pump();
        Assert.Equal(XenStoreMessage.Write, Assert.Single(guest.Replies).Type);
    }
}
