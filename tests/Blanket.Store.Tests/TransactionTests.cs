using System.Linq;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class TransactionTests
{
    private readonly StoreFixture _fixture = new();
    private readonly Guest _guest;
    private readonly Guest _domain0;

    public TransactionTests()
    {
        _guest = _fixture.AddGuest(1);
        _domain0 = _fixture.Domain0;
    }

    [Fact]
    public void ChangesAppearAtCommit()
    {
        _guest.Write("a", "old");
        _guest.Write("gone/x", "1");
        uint transaction = _guest.Start();
        Assert.Equal("OK", _guest.Write("a", "new", transaction));
        Assert.Equal("OK", _guest.Write("b/c/d", "made", transaction));
        Assert.Equal("OK", _guest.Remove("gone", transaction));
        Assert.Equal("old", _guest.Read("a"));
        Assert.Equal("ENOENT", _guest.Read("b/c/d"));
        Assert.Equal("1", _guest.Read("gone/x"));
        Assert.Equal("new", _guest.Read("a", transaction));
        Assert.Equal("made", _guest.Read("b/c/d", transaction));
        Assert.Equal("ENOENT", _guest.Read("gone/x", transaction));
        Assert.Equal("a b", _guest.Directory("/local/domain/1", transaction));
        Assert.Equal("OK", _guest.End(transaction));
        Assert.Equal("new", _guest.Read("a"));
        Assert.Equal("made", _guest.Read("b/c/d"));
        Assert.Equal("ENOENT", _guest.Read("gone"));
        Assert.Equal("a b", _guest.Directory("/local/domain/1"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void AbandonedChangesLeaveNoTrace()
    {
        _guest.Write("a", "old");
        StoreUsage before = _fixture.Store.Usage;
        uint transaction = _guest.Start();
        _guest.Write("a", "new", transaction);
        _guest.Write("b/c/d", "made", transaction);
        _guest.SetPermissions("a", "n1 r0", transaction);
        _guest.Remove("a", transaction);
        Assert.Equal("OK", _guest.End(transaction, false));
        Assert.Equal("old", _guest.Read("a"));
        Assert.Equal("ENOENT", _guest.Read("b"));
        Assert.Equal(before, _fixture.Store.Usage);
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void LookedAtNodesDoNotChangeInside()
    {
        _guest.Write("a", "old");
        _guest.Write("d/x", "");
        uint transaction = _guest.Start();
        Assert.Equal("old", _guest.Read("a", transaction));
        Assert.Equal("x", _guest.Directory("d", transaction));
        Assert.Equal("ENOENT", _guest.Read("none", transaction));
        _guest.Write("a", "new");
        _guest.Write("d/y", "");
        _guest.Write("none", "");
        Assert.Equal("old", _guest.Read("a", transaction));
        Assert.Equal("x", _guest.Directory("d", transaction));
        Assert.Equal("ENOENT", _guest.Read("none", transaction));
        Assert.Equal("EAGAIN", _guest.End(transaction));
    }

    [Theory]
    [InlineData("read, changed", true)]
    [InlineData("read, removed", true)]
    [InlineData("read, permissions", true)]
    [InlineData("absent, made", true)]
    [InlineData("listed, child made", true)]
    [InlineData("listed, child changed", false)]
    [InlineData("written, written", true)]
    [InlineData("other changed", false)]
    public void ConflictsEndWithAgain(string what, bool conflicts)
    {
        _guest.Write("d/a", "1");
        _guest.Write("e", "1");
        uint transaction = _guest.Start();
        switch (what)
        {
            case "read, changed":
                _guest.Read("d/a", transaction);
                _domain0.Write("/local/domain/1/d/a", "2");
                break;
            case "read, removed":
                _guest.Read("d/a", transaction);
                _domain0.Remove("/local/domain/1/d/a");
                break;
            case "read, permissions":
                _guest.Read("d/a", transaction);
                _domain0.SetPermissions("/local/domain/1/d/a", "n1 r5");
                break;
            case "absent, made":
                _guest.Read("d/b", transaction);
                _domain0.Write("/local/domain/1/d/b", "");
                break;
            case "listed, child made":
                _guest.Directory("d", transaction);
                _domain0.Write("/local/domain/1/d/b", "");
                break;
            case "listed, child changed":
                _guest.Directory("d", transaction);
                _domain0.Write("/local/domain/1/d/a", "2");
                break;
            case "written, written":
                _guest.Write("d/a", "mine", transaction);
                _domain0.Write("/local/domain/1/d/a", "theirs");
                break;
            default:
                _guest.Read("d/a", transaction);
                _domain0.Write("/local/domain/1/e", "2");
                break;
        }

        _guest.Write("result", "x", transaction);
        Assert.Equal(conflicts ? "EAGAIN" : "OK", _guest.End(transaction));
        Assert.Equal(conflicts ? "ENOENT" : "x", _guest.Read("result"));
        Assert.Equal("ENOENT", _guest.End(transaction));
        Assert.True(_fixture.Store.IsSound);
        Assert.Equal(0, _fixture.Store.Usage.Transactions);
    }

    [Fact]
    public void OneOfTwoInterferingCommits()
    {
        _guest.Write("a", "");
        _guest.Write("b", "");
        uint first = _guest.Start();
        uint second = _guest.Start();
        Assert.NotEqual(first, second);
        _guest.Read("a", first);
        _guest.Read("b", second);
        _guest.Write("b", "1", first);
        _guest.Write("a", "2", second);
        Assert.Equal("OK", _guest.End(first));
        Assert.Equal("EAGAIN", _guest.End(second));
        Assert.Equal("1", _guest.Read("b"));
        Assert.Equal("", _guest.Read("a"));
    }

    [Fact]
    public void EventsComeAtCommit()
    {
        _guest.Write("a/x", "1");
        _guest.Watch("a", "a");
        _guest.Watch("a/x", "x");
        _guest.Watch("b", "b");
        _guest.TakeEvents();
        uint transaction = _guest.Start();
        _guest.Write("b/c", "1", transaction);
        _guest.Write("b/c", "2", transaction);
        _guest.Remove("a", transaction);
        Assert.Empty(_guest.TakeEvents());
        Assert.Equal("OK", _guest.End(transaction));
        Assert.Equal([("a", "a"), ("a/x", "x"), ("b/c", "b")], _guest.TakeEvents().Order());
        transaction = _guest.Start();
        _guest.Write("b/d", "1", transaction);
        _guest.End(transaction, false);
        transaction = _guest.Start();
        _guest.Write("b/d", "1", transaction);
        _guest.Remove("b/d", transaction);
        _guest.End(transaction);
        Assert.Empty(_guest.TakeEvents());
    }

    [Fact]
    public void RemoveAndMakeAgainInside()
    {
        _guest.Write("a/b/c", "1");
        _guest.Write("a/d", "1");
        uint transaction = _guest.Start();
        Assert.Equal("OK", _guest.Remove("a", transaction));
        Assert.Equal("OK", _guest.Write("a/b", "2", transaction));
        Assert.Equal("b", _guest.Directory("a", transaction));
        Assert.Equal("OK", _guest.Remove("a/b", transaction));
        Assert.Equal("OK", _guest.Write("a/e/f", "3", transaction));
        Assert.Equal("OK", _guest.End(transaction));
        Assert.Equal("e", _guest.Directory("a"));
        Assert.Equal("3", _guest.Read("a/e/f"));
        Assert.Equal("ENOENT", _guest.Read("a/b"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void PermissionsChangeAtCommit()
    {
        Guest other = _fixture.AddGuest(2);
        _guest.Write("a", "v");
        uint transaction = _guest.Start();
        Assert.Equal("OK", _guest.SetPermissions("a", "n1 r2", transaction));
        Assert.Equal("n1 r2", _guest.GetPermissions("a", transaction));
        Assert.Equal("EACCES", other.Read("/local/domain/1/a"));
        Assert.Equal("OK", _guest.End(transaction));
        Assert.Equal("v", other.Read("/local/domain/1/a"));
    }

    [Fact]
    public void OwnerThatIsGoneAtCommitMeansAgain()
    {
        _fixture.AddGuest(2);
        uint transaction = _domain0.Start();
        Assert.Equal("OK", _domain0.Write("/x", "v", transaction));
        Assert.Equal("OK", _domain0.SetPermissions("/x", "n2", transaction));
        Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain(2));
        Assert.Equal("EAGAIN", _domain0.End(transaction));
        Assert.Equal("ENOENT", _domain0.Read("/x"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void OwnershipMovesAtCommit()
    {
        _fixture.AddGuest(2);
        _guest.Write("a", "v");
        uint transaction = _domain0.Start();
        Assert.Equal("OK", _domain0.SetPermissions("/local/domain/1/a", "n2", transaction));
        Assert.Equal("OK", _domain0.End(transaction));
        Assert.Equal("n2", _domain0.GetPermissions("/local/domain/1/a"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void IdentifiersAreChecked()
    {
        Assert.Equal("ENOENT", _guest.Read("a", 77));
        Assert.Equal("ENOENT", _guest.Ask(XenStoreMessage.TransactionStart, "\0", 77));
        Assert.Equal("ENOENT", _guest.End(77));
        Assert.Equal("ENOENT", _guest.End(0));
        uint transaction = _guest.Start();
        Assert.Equal("EBUSY", _guest.Ask(XenStoreMessage.TransactionStart, "\0", transaction));
        Assert.Equal("ENOENT", _domain0.Read("/tool", transaction));
        Assert.Equal("EINVAL", _guest.Ask(XenStoreMessage.TransactionEnd, "X\0", transaction));
        Assert.Equal("EINVAL", _guest.Ask(XenStoreMessage.TransactionEnd, "T", transaction));
        Assert.Equal("EINVAL", _guest.Ask(XenStoreMessage.TransactionEnd, "TF\0", transaction));
        Assert.Equal("OK", _guest.End(transaction));
    }

    [Fact]
    public void WatchIgnoresTheTransaction()
    {
        Assert.Equal("OK", _guest.Ask(XenStoreMessage.Watch, "a\0t\0", 77));
        Assert.Equal("OK", _guest.Ask(XenStoreMessage.Unwatch, "a\0t\0", 77));
    }

    [Fact]
    public void RemovingALargeTreeInside()
    {
        foreach (int i in Enumerable.Range(0, 300))
        {
            Assert.Equal("OK", _guest.Write($"t/{i % 17}/{i}", "v"));
        }

        uint transaction = _guest.Start();
        Assert.Equal("OK", _guest.Remove("t", transaction));
        Assert.Equal("ENOENT", _guest.Read("t/3/3", transaction));
        Assert.Equal("v", _guest.Read("t/3/3"));
        Assert.Equal("OK", _guest.End(transaction));
        Assert.Equal("ENOENT", _guest.Read("t"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void TransactionOfAnAncestorRemovedMeanwhile()
    {
        _guest.Write("a/b", "1");
        uint transaction = _guest.Start();
        Assert.Equal("b", _guest.Directory("a", transaction));
        _guest.Remove("a");
        Assert.Equal("OK", _guest.Write("a/b/c", "2", transaction));
        Assert.Equal("OK", _guest.Remove("a", transaction));
        Assert.Equal("EAGAIN", _guest.End(transaction));
        Assert.Equal("ENOENT", _guest.Read("a"));
        Assert.True(_fixture.Store.IsSound);
    }
}
