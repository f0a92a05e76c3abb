using System.Linq;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class DomainRequestTests
{
    private readonly StoreFixture _fixture = new();
    private readonly Guest _domain0;

    public DomainRequestTests()
    {
        _domain0 = _fixture.Domain0;
    }

    [Theory]
    [InlineData(XenStoreMessage.Control, "help\0")]
    [InlineData(XenStoreMessage.Introduce, "2\01\01\0")]
    [InlineData(XenStoreMessage.Release, "1\0")]
    [InlineData(XenStoreMessage.IsDomainIntroduced, "1\0")]
    [InlineData(XenStoreMessage.Resume, "1\0")]
    [InlineData(XenStoreMessage.SetTarget, "1\00\0")]
    public void PrivilegedRequestsAreDeniedToOthers(XenStoreMessage type, string payload)
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("EACCES", guest.Ask(type, payload));
    }

    [Fact]
    public void DomainPathIsTheHome()
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("/local/domain/1", guest.Ask(XenStoreMessage.GetDomainPath, "1\0"));
        Assert.Equal("/local/domain/42", guest.Ask(XenStoreMessage.GetDomainPath, "042\0"));
        Assert.Equal("/local/domain/0", guest.Ask(XenStoreMessage.GetDomainPath, "0\0"));
        Assert.Equal("EINVAL", guest.Ask(XenStoreMessage.GetDomainPath, "x\0"));
        Assert.Equal("EINVAL", guest.Ask(XenStoreMessage.GetDomainPath, "65536\0"));
        Assert.Equal("EINVAL", guest.Ask(XenStoreMessage.GetDomainPath, "\0"));
        Assert.Equal("EINVAL", guest.Ask(XenStoreMessage.GetDomainPath, "1"));
        Assert.Equal("ENOENT", guest.Ask(XenStoreMessage.GetDomainPath, "1\0", 9));
    }

    [Fact]
    public void IsIntroduced()
    {
        _fixture.AddGuest(1);
        Assert.Equal("T", _domain0.Ask(XenStoreMessage.IsDomainIntroduced, "1\0"));
        Assert.Equal("F", _domain0.Ask(XenStoreMessage.IsDomainIntroduced, "2\0"));
        Assert.Equal("T", _domain0.Ask(XenStoreMessage.IsDomainIntroduced, "32752\0"));
        _fixture.Store.DestroyDomain(1);
        Assert.Equal("F", _domain0.Ask(XenStoreMessage.IsDomainIntroduced, "1\0"));
    }

    [Fact]
    public void IntroduceByRequest()
    {
        _fixture.Host.Rings[9] = new TestRing();
        _domain0.Watch("@introduceDomain", "i");
        _domain0.TakeEvents();
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Introduce, "8\01\01\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Introduce, "9\01\00\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Introduce, "9\01\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Introduce, "0\01\01\0"));
        Assert.Empty(_domain0.TakeEvents());
        Assert.Equal("OK", _domain0.Ask(XenStoreMessage.Introduce, "9\0-3\05\0"));
        Assert.Equal(((ushort)9, unchecked((ulong)-3L), 5u), _fixture.Host.LastIntroduced);
        Assert.Equal([("@introduceDomain", "i")], _domain0.TakeEvents());
        Guest guest = new(_fixture, 9, _fixture.Host.Rings[9]);
        Assert.Equal("/local/domain/9", guest.Ask(XenStoreMessage.GetDomainPath, "9\0"));
    }

    [Fact]
    public void IntroduceAgainResetsTheConnection()
    {
        Guest guest = _fixture.AddGuest(9);
        guest.Watch("a", "t");
        uint transaction = guest.Start();
        TestRing old = guest.Ring;
        _domain0.Watch("@introduceDomain", "i");
        _domain0.TakeEvents();
        _fixture.Host.Rings[9] = new TestRing();
        Assert.Equal("OK", _domain0.Ask(XenStoreMessage.Introduce, "9\01\01\0"));
        Assert.True(old.Closed);
        Assert.Empty(_domain0.TakeEvents());
        Assert.Equal(0, _fixture.Store.Usage.Transactions);
        guest = new Guest(_fixture, 9, _fixture.Host.Rings[9]);
        Assert.Equal("ENOENT", guest.End(transaction));
        Assert.Equal("OK", guest.Write("a", "1"));
        Assert.Empty(guest.TakeEvents());
    }

    [Fact]
    public void ReleaseRemovesWhatTheDomainOwns()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Write("a/b", "1");
        guest.Watch("a", "t");
        guest.Start();
        _domain0.Watch("/local/domain/1", "home");
        _domain0.Watch("@releaseDomain", "r");
        _domain0.TakeEvents();
        Assert.Equal("OK", _domain0.Ask(XenStoreMessage.Release, "1\0"));
        Assert.True(guest.Ring.Closed);
        Assert.Equal([("/local/domain/1", "home"), ("@releaseDomain", "r")], _domain0.TakeEvents());
        Assert.Equal("ENOENT", _domain0.Read("/local/domain/1"));
        Assert.Equal("ENOENT", _domain0.Ask(XenStoreMessage.Release, "1\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Release, "0\0"));
        Assert.Equal("ENOENT", _domain0.Ask(XenStoreMessage.Release, "77\0"));
        Assert.Equal(0, _fixture.Store.Usage.Transactions);
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void NodesInOtherPlacesGoWithTheirOwner()
    {
        Guest first = _fixture.AddGuest(1);
        Guest second = _fixture.AddGuest(2);
        first.MakeDirectory("shared");
        first.SetPermissions("shared", "b1");
        Assert.Equal("OK", second.Write("/local/domain/1/shared/two/x", "v"));
        Assert.Equal("OK", second.SetPermissions("/local/domain/1/shared/two", "b2"));
        Assert.Equal("OK", first.Write("shared/two/one", "v"));
        Assert.Equal("OK", first.Write("shared/mine", "v"));
        Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain(2));
        Assert.Equal("mine", first.Directory("shared"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void RootOutlivesItsOwner()
    {
        _fixture.AddGuest(1);
        Assert.Equal("OK", _domain0.SetPermissions("/", "r1"));
        Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain(1));
        Assert.Equal("n0", _domain0.GetPermissions("/"));
        Assert.Equal("tool local", _domain0.Directory("/").Trim());
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void ShutdownIsAnnouncedOnceUntilResume()
    {
        _fixture.AddGuest(1);
        _domain0.Watch("@releaseDomain", "r");
        _domain0.TakeEvents();
        Assert.Equal(XenStoreError.None, _fixture.Store.ReportShutdown(1));
        Assert.Single(_domain0.TakeEvents());
        Assert.Equal(XenStoreError.None, _fixture.Store.ReportShutdown(1));
        Assert.Empty(_domain0.TakeEvents());
        Assert.Equal("OK", _domain0.Ask(XenStoreMessage.Resume, "1\0"));
        Assert.Equal(XenStoreError.None, _fixture.Store.ReportShutdown(1));
        Assert.Single(_domain0.TakeEvents());
        Assert.Equal("ENOENT", _domain0.Ask(XenStoreMessage.Resume, "2\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Resume, "0\0"));
        Assert.Equal(XenStoreError.NotFound, _fixture.Store.ReportShutdown(2));
    }

    [Fact]
    public void TargetsMustBeIntroduced()
    {
        _fixture.AddGuest(1);
        Assert.Equal("ENOENT", _domain0.Ask(XenStoreMessage.SetTarget, "1\02\0"));
        Assert.Equal("ENOENT", _domain0.Ask(XenStoreMessage.SetTarget, "2\01\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.SetTarget, "1\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.SetTarget, "1\0x\0"));
    }

    [Fact]
    public void DomainsAreCreatedAndDestroyedOnce()
    {
        XenStore store = _fixture.Store;
        Assert.Equal(XenStoreError.None, store.CreateDomain(3, false));
        Assert.Equal(XenStoreError.Exists, store.CreateDomain(3, false));
        Assert.Equal(XenStoreError.NotFound, store.Release(3));
        Assert.Equal(XenStoreError.None, store.DestroyDomain(3));
        Assert.Equal(XenStoreError.NotFound, store.DestroyDomain(3));
        Assert.Equal(XenStoreError.Invalid, store.DestroyDomain(0));
        store.RingNotified(3);
        Assert.False(store.Process(10));
    }

    [Fact]
    public void NumberOfDomainsIsLimited()
    {
        StoreFixture fixture = new(capacity: new StoreCapacity { Domains = 3, Connections = 2 });
        Assert.Equal(XenStoreError.None, fixture.Store.CreateDomain(1, false));
        Assert.Equal(XenStoreError.None, fixture.Store.CreateDomain(2, false));
        Assert.Equal(XenStoreError.NoMemory, fixture.Store.CreateDomain(3, false));
        Assert.Equal(XenStoreError.None, fixture.Store.Introduce(1, new TestRing()));
        Assert.Equal(XenStoreError.NoMemory, fixture.Store.Introduce(2, new TestRing()));
        Assert.Equal(XenStoreError.NoMemory, fixture.Store.Introduce(3, new TestRing()));
        Assert.Equal(XenStoreError.NoMemory, fixture.Store.CreateClient(2, 1, out StoreClient? client));
        Assert.Null(client);
    }

    [Fact]
    public void ControlHelpAndCheckAndPrint()
    {
        Assert.Contains("quota\t", _domain0.Ask(XenStoreMessage.Control, "help\0"));
        Assert.Equal("OK", _domain0.Ask(XenStoreMessage.Control, "check\0"));
        Assert.Equal("OK", _domain0.Ask(XenStoreMessage.Control, "print\0hello\0"));
        Assert.Equal(["hello"], _fixture.Host.Printed);
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Control, "print\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Control, "live-update\0-s\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Control, "check\0x\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Control, ""));
    }

    [Fact]
    public void ControlShowsAndSetsQuotas()
    {
        Guest guest = _fixture.AddGuest(1);
        guest.Watch("a", "t");
        Assert.Contains("nodes            :     1000 Nodes per domain\n", _domain0.Ask(XenStoreMessage.Control, "quota\0"));
        string[] names = ["nodes", "watches", "transactions", "outstanding", "transaction-nodes", "memory", "node-size", "path-max", "permissions"];
        foreach (string name in names)
        {
            Assert.Equal("OK", _domain0.Ask(XenStoreMessage.Control, $"quota\0set\0{name}\077\0"));
        }

        string[] lines = _domain0.Ask(XenStoreMessage.Control, "quota\0").Split('\n', System.StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(names.Length + 1, lines.Length);
        Assert.All(lines.Skip(1), line => Assert.Contains("      77 ", line));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Control, "quota\0set\0nodes\00\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Control, "quota\0set\0nothing\01\0"));
        Assert.Equal("EINVAL", _domain0.Ask(XenStoreMessage.Control, "quota\0set\0nodes\0"));
        string usage = _domain0.Ask(XenStoreMessage.Control, "quota\01\0");
        Assert.StartsWith("Domain 1:\nnodes           :        1\nwatches         :        1\n", usage);
        Assert.Equal("ENOENT", _domain0.Ask(XenStoreMessage.Control, "quota\02\0"));
    }
}
