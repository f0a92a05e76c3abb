using Blanket.Abi;

namespace Blanket.Store.Tests;

public class PermissionTests
{
    private readonly StoreFixture _fixture = new();

    [Fact]
    public void OwnerMayReadAndWriteOthersNot()
    {
        Guest owner = _fixture.AddGuest(1);
        Guest other = _fixture.AddGuest(2);
        Assert.Equal("OK", owner.Write("x", "secret"));
        Assert.Equal("EACCES", other.Read("/local/domain/1/x"));
        Assert.Equal("EACCES", other.Write("/local/domain/1/x", "v"));
        Assert.Equal("EACCES", other.Remove("/local/domain/1/x"));
        Assert.Equal("EACCES", other.Directory("/local/domain/1"));
        Assert.Equal("EACCES", other.GetPermissions("/local/domain/1/x"));
        Assert.Equal("EACCES", other.SetPermissions("/local/domain/1/x", "n2"));
        Assert.Equal("secret", _fixture.Domain0.Read("/local/domain/1/x"));
    }

    [Theory]
    [InlineData("n1 r2", true, false)]
    [InlineData("n1 w2", false, true)]
    [InlineData("n1 b2", true, true)]
    [InlineData("n1 n2", false, false)]
    [InlineData("r1", true, false)]
    [InlineData("w1", false, true)]
    [InlineData("b1", true, true)]
    [InlineData("b1 n2", false, false)]
    [InlineData("n1 r2 w2", true, false)]
    public void EntriesGrantAccess(string entries, bool read, bool write)
    {
        Guest owner = _fixture.AddGuest(1);
        Guest other = _fixture.AddGuest(2);
        Assert.Equal("OK", owner.Write("x", "v"));
        Assert.Equal("OK", owner.SetPermissions("x", entries));
        Assert.Equal(read ? "v" : "EACCES", other.Read("/local/domain/1/x"));
        Assert.Equal(write ? "OK" : "EACCES", other.Write("/local/domain/1/x", "new"));
        Assert.Equal(entries, owner.GetPermissions("x"));
        Assert.Equal("EACCES", other.SetPermissions("/local/domain/1/x", "b1 b2"));
    }

    [Fact]
    public void PermissionsAreInheritedAndTheMakerOwns()
    {
        Guest owner = _fixture.AddGuest(1);
        Guest other = _fixture.AddGuest(2);
        Assert.Equal("OK", owner.MakeDirectory("shared"));
        Assert.Equal("OK", owner.SetPermissions("shared", "r1 b2"));
        Assert.Equal("OK", other.Write("/local/domain/1/shared/a/b", "v"));
        Assert.Equal("r2 b2", other.GetPermissions("/local/domain/1/shared/a"));
        Assert.Equal("r2 b2", other.GetPermissions("/local/domain/1/shared/a/b"));
        Assert.Equal("OK", _fixture.Domain0.Write("/local/domain/1/shared/c", "v"));
        Assert.Equal("r1 b2", _fixture.Domain0.GetPermissions("/local/domain/1/shared/c"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void AbsenceIsToldOnlyToWhoMayKnow()
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("ENOENT", guest.Read("none"));
        Assert.Equal("ENOENT", guest.Read("none/at/all"));
        Assert.Equal("ENOENT", guest.Remove("none/at/all"));
        Assert.Equal("OK", guest.Remove("none"));
        Assert.Equal("EACCES", guest.Read("/local/domain/7"));
        Assert.Equal("EACCES", guest.Write("/elsewhere", "v"));
        Assert.Equal("EACCES", guest.Remove("/elsewhere"));
        Assert.Equal("EACCES", guest.Directory("/"));
        Assert.Equal("ENOENT", _fixture.Domain0.Read("/elsewhere"));
    }

    [Fact]
    public void UnprivilegedMayNotGiveAway()
    {
        Guest guest = _fixture.AddGuest(1);
        _fixture.AddGuest(2);
        Assert.Equal("OK", guest.Write("x", "v"));
        Assert.Equal("EPERM", guest.SetPermissions("x", "n2"));
        Assert.Equal("EPERM", guest.SetPermissions("x", "n0"));
        Assert.Equal("OK", _fixture.Domain0.SetPermissions("/local/domain/1/x", "n2 r1"));
        Assert.Equal("v", guest.Read("x"));
        Assert.Equal("EACCES", guest.Write("x", "w"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void OwnerMustExist()
    {
        Assert.Equal("ENOENT", _fixture.Domain0.SetPermissions("/tool", "n99"));
        Assert.Equal("OK", _fixture.Domain0.SetPermissions("/tool", "n0 r99"));
        Assert.Equal("n0 r99", _fixture.Domain0.GetPermissions("/tool"));
    }

    [Fact]
    public void EntriesEndWithTheirDomain()
    {
        Guest owner = _fixture.AddGuest(1);
        _fixture.AddGuest(2);
        Assert.Equal("OK", owner.Write("x", "v"));
        Assert.Equal("OK", owner.SetPermissions("x", "n1 r2 r3"));
        Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain(2));
        Guest second = _fixture.AddGuest(2);
        Assert.Equal("EACCES", second.Read("/local/domain/1/x"));
        Guest third = _fixture.AddGuest(3);
        Assert.Equal("EACCES", third.Read("/local/domain/1/x"));
        Assert.Equal("OK", owner.SetPermissions("x", "n1 r2"));
        Assert.Equal("v", second.Read("/local/domain/1/x"));
    }

    [Theory]
    [InlineData("/tool\0")]
    [InlineData("/tool\0x0\0")]
    [InlineData("/tool\0n\0")]
    [InlineData("/tool\0n0x\0")]
    [InlineData("/tool\0n65536\0")]
    [InlineData("/tool\0n-1\0")]
    [InlineData("/tool\0\0")]
    [InlineData("/tool")]
    [InlineData("@other\0n0\0")]
    public void MalformedEntriesAreInvalid(string payload)
    {
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.SetPermissions, payload));
        Assert.Equal("n0", _fixture.Domain0.GetPermissions("/tool"));
    }

    [Fact]
    public void TextBehindTheLastTerminatorIsIgnored()
    {
        Assert.Equal("OK", _fixture.Domain0.Ask(XenStoreMessage.SetPermissions, "/tool\0n0\0r1\0reserved"));
        Assert.Equal("n0 r1", _fixture.Domain0.GetPermissions("/tool"));
    }

    [Fact]
    public void NumberOfEntriesIsLimited()
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("OK", guest.Write("x", ""));
        Assert.Equal("OK", guest.SetPermissions("x", "n1 r2 r3 r4 r5"));
        Assert.Equal("ENOSPC", guest.SetPermissions("x", "n1 r2 r3 r4 r5 r6"));
        Assert.Equal("OK", _fixture.Domain0.SetPermissions("/tool", "n0 r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 r11 r12 r13 r14"));
        Assert.Equal("ENOSPC", _fixture.Domain0.SetPermissions("/tool", "n0 r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 r11 r12 r13 r14 r15"));
    }

    [Fact]
    public void TargetGivesTheRightsOfAnother()
    {
        Guest driver = _fixture.AddGuest(1);
        Guest target = _fixture.AddGuest(2);
        Guest third = _fixture.AddGuest(3);
        Assert.Equal("OK", target.Write("x", "v"));
        Assert.Equal("OK", third.Write("y", "w"));
        Assert.Equal("OK", third.SetPermissions("y", "n3 r2"));
        Assert.Equal("EACCES", driver.Read("/local/domain/2/x"));
        Assert.Equal("OK", _fixture.Domain0.Ask(XenStoreMessage.SetTarget, "1\02\0"));
        Assert.Equal("v", driver.Read("/local/domain/2/x"));
        Assert.Equal("OK", driver.Write("/local/domain/2/x", "changed"));
        Assert.Equal("w", driver.Read("/local/domain/3/y"));
        Assert.Equal("EACCES", driver.Write("/local/domain/3/y", "z"));
        Assert.Equal("OK", driver.Write("/local/domain/2/z", "new"));
        Assert.Equal("n1", driver.GetPermissions("/local/domain/2/z"));
        Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain(2));
        _fixture.AddGuest(2);
        Assert.Equal("EACCES", driver.Read("/local/domain/2"));
    }

    [Fact]
    public void SpecialPathsHavePermissionsForWatching()
    {
        Guest guest = _fixture.AddGuest(1);
        Assert.Equal("OK", guest.Watch("@introduceDomain", "i"));
        Assert.Equal([("@introduceDomain", "i")], guest.TakeEvents());
        _fixture.AddGuest(2);
        Assert.Empty(guest.TakeEvents());
        Assert.Equal("EACCES", guest.SetPermissions("@introduceDomain", "r1"));
        Assert.Equal("OK", _fixture.Domain0.SetPermissions("@introduceDomain", "n0 r1"));
        _fixture.AddGuest(3);
        Assert.Equal([("@introduceDomain", "i")], guest.TakeEvents());
        Assert.Equal("EINVAL", _fixture.Domain0.GetPermissions("@introduceDomain"));
    }
}
