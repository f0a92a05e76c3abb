using System;
using System.Linq;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class NodeRequestTests
{
    private readonly StoreFixture _fixture = new();

    [Fact]
    public void WriteThenRead()
    {
        Guest guest = _fixture.AddGuest(5);
        Assert.Equal("OK", guest.Write("/local/domain/5/data/a", "value"));
        Assert.Equal("value", guest.Read("/local/domain/5/data/a"));
        Assert.Equal("value", guest.Read("data/a"));
        Assert.Equal("", guest.Read("data"));
        Assert.Equal("OK", guest.Write("data/a", ""));
        Assert.Equal("", guest.Read("data/a"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void ValuesAreBinary()
    {
        Guest guest = _fixture.AddGuest(5);
        string value = new([.. Enumerable.Range(0, 256).Select(i => (char)i)]);
        Assert.Equal("OK", guest.Write("x", value));
        Assert.Equal(value, Guest.Text(guest.Request(XenStoreMessage.Read, "x\0").Payload));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(59)]
    [InlineData(60)]
    [InlineData(61)]
    [InlineData(120)]
    [InlineData(1500)]
    [InlineData(4000)]
    public void LongValuesCrossTheRingInPieces(int length)
    {
        string value = new([.. Enumerable.Range(0, length).Select(i => (char)('a' + (i % 26)))]);
        Assert.Equal("OK", _fixture.Domain0.Write("/tool/x", value));
        Assert.Equal(value, _fixture.Domain0.Read("/tool/x"));
        Assert.Equal("OK", _fixture.Domain0.Write("/tool/x", "short"));
        Assert.Equal("short", _fixture.Domain0.Read("/tool/x"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/x/")]
    [InlineData("//x")]
    [InlineData("/x//y")]
    [InlineData("//")]
    [InlineData("x/")]
    [InlineData("@x")]
    [InlineData("/x y")]
    [InlineData("/x.y")]
    [InlineData("/x+y")]
    [InlineData("/ä")]
    [InlineData("/x\n")]
    public void BadPathsAreInvalid(string path)
    {
        Guest domain0 = _fixture.Domain0;
        Assert.Equal("EINVAL", domain0.Read(path));
        Assert.Equal("EINVAL", domain0.Write(path, "v"));
        Assert.Equal("EINVAL", domain0.MakeDirectory(path));
        Assert.Equal("EINVAL", domain0.Remove(path));
        Assert.Equal("EINVAL", domain0.Directory(path));
        Assert.Equal("EINVAL", domain0.GetPermissions(path));
        Assert.Equal("EINVAL", domain0.SetPermissions(path, "n0"));
        Assert.Equal("EINVAL", domain0.Ask(XenStoreMessage.DirectoryPart, path + "\00\0"));
    }

    [Fact]
    public void AllNameCharactersAreAllowed()
    {
        const string Path = "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789-_@";
        Assert.Equal("OK", _fixture.Domain0.Write(Path, "v"));
        Assert.Equal("v", _fixture.Domain0.Read(Path));
    }

    [Fact]
    public void PathLengthIsLimitedWithoutTheHome()
    {
        Guest domain0 = _fixture.Domain0;
        Assert.Equal("OK", domain0.Write("/" + new string('a', 2047), "v"));
        Assert.Equal("EINVAL", domain0.Write("/" + new string('a', 2048), "v"));
        Guest guest = _fixture.AddGuest(12345);
        _fixture.Quotas.NodeSize = 8192;
        Assert.Equal("OK", guest.Write(new string('b', 2048), "v"));
        Assert.Equal("v", guest.Read("/local/domain/12345/" + new string('b', 2048)));
        Assert.Equal("EINVAL", guest.Write(new string('b', 2049), "v"));
        Assert.Equal("EINVAL", domain0.Read("/local/domain/x2345/" + new string('b', 2048)));
    }

    [Fact]
    public void DeepPathsWork()
    {
        string path = string.Concat(Enumerable.Repeat("/d", 1000));
        Assert.Equal("OK", _fixture.Domain0.Write(path, "deep"));
        Assert.Equal("deep", _fixture.Domain0.Read(path));
        Assert.True(_fixture.Store.IsSound);
        Assert.Equal("OK", _fixture.Domain0.Remove("/d"));
        Assert.Equal("ENOENT", _fixture.Domain0.Read("/d"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Theory]
    [InlineData(XenStoreMessage.Read)]
    [InlineData(XenStoreMessage.MakeDirectory)]
    [InlineData(XenStoreMessage.Remove)]
    [InlineData(XenStoreMessage.Directory)]
    [InlineData(XenStoreMessage.GetPermissions)]
    public void PathMustBeTheOnlyString(XenStoreMessage type)
    {
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(type, "/tool"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(type, "/tool\0\0"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(type, "/tool\0x"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(type, ""));
    }

    [Fact]
    public void WriteNeedsATerminatedPath()
    {
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.Write, "/tool/x"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.Write, ""));
    }

    [Fact]
    public void MakeDirectoryKeepsWhatIsThere()
    {
        Guest domain0 = _fixture.Domain0;
        Assert.Equal("OK", domain0.Write("/a", "v"));
        Assert.Equal("OK", domain0.MakeDirectory("/a"));
        Assert.Equal("v", domain0.Read("/a"));
        Assert.Equal("OK", domain0.MakeDirectory("/a/b/c"));
        Assert.Equal("v", domain0.Read("/a"));
        Assert.Equal("b", domain0.Directory("/a"));
        Assert.Equal("", domain0.Read("/a/b/c"));
        Assert.Equal("OK", domain0.MakeDirectory("/"));
    }

    [Fact]
    public void RemoveTakesTheSubtree()
    {
        Guest domain0 = _fixture.Domain0;
        Assert.Equal("OK", domain0.Write("/a/b/c", "1"));
        Assert.Equal("OK", domain0.Write("/a/b/d", "2"));
        Assert.Equal("OK", domain0.Write("/a/e", "3"));
        Assert.Equal("OK", domain0.Remove("/a/b"));
        Assert.Equal("ENOENT", domain0.Read("/a/b/c"));
        Assert.Equal("ENOENT", domain0.Read("/a/b"));
        Assert.Equal("e", domain0.Directory("/a"));
        Assert.Equal("OK", domain0.Remove("/a/b"));
        Assert.Equal("ENOENT", domain0.Remove("/a/b/c"));
        Assert.Equal("EINVAL", domain0.Remove("/"));
        Assert.True(_fixture.Store.IsSound);
    }

    [Fact]
    public void DirectoryListsInOrderOfCreation()
    {
        Guest domain0 = _fixture.Domain0;
        Assert.Equal("tool", domain0.Directory("/"));
        Assert.Equal("xenstored", domain0.Directory("/tool"));
        Assert.Equal("", domain0.Directory("/tool/xenstored"));
        foreach (string name in new[] { "zebra", "apple", "mango" })
        {
            Assert.Equal("OK", domain0.Write("/d/" + name, ""));
        }

        Assert.Equal("zebra apple mango", domain0.Directory("/d"));
        Assert.Equal("OK", domain0.Remove("/d/apple"));
        Assert.Equal("OK", domain0.Write("/d/apple", ""));
        Assert.Equal("zebra mango apple", domain0.Directory("/d"));
        Message reply = domain0.Request(XenStoreMessage.Directory, "/d\0");
        Assert.Equal("zebra\0mango\0apple\0", Guest.Text(reply.Payload));
        Assert.Equal("ENOENT", domain0.Directory("/none"));
    }

    [Fact]
    public void DirectoryThatDoesNotFitIsTooBigAndReadInParts()
    {
        Guest domain0 = _fixture.Domain0;
        string[] names = [.. Enumerable.Range(0, 1000).Select(i => $"child-{i}")];
        foreach (string name in names)
        {
            Assert.Equal("OK", domain0.Write("/big/" + name, ""));
        }

        Assert.Equal("E2BIG", domain0.Directory("/big"));
        string list = "";
        string? generation = null;
        while (true)
        {
            string payload = Guest.Text(domain0.Request(XenStoreMessage.DirectoryPart, $"/big\0{list.Length}\0").Payload);
            int end = payload.IndexOf('\0');
            generation ??= payload[..end];
            Assert.Equal(generation, payload[..end]);
            string part = payload[(end + 1)..];
            bool last = part.EndsWith("\0\0", StringComparison.Ordinal);
            list += last ? part[..^1] : part;
            if (last)
            {
                break;
            }
        }

        Assert.Equal(string.Join("", names.Select(n => n + "\0")), list);
        Assert.Equal("OK", domain0.Write("/big/one-more", ""));
        Assert.NotEqual(generation, Guest.Text(domain0.Request(XenStoreMessage.DirectoryPart, "/big\00\0").Payload).Split('\0')[0]);
    }

    [Fact]
    public void DirectoryPartBehindTheEndIsAnEmptyName()
    {
        Message reply = _fixture.Domain0.Request(XenStoreMessage.DirectoryPart, "/tool\0100\0");
        string[] parts = Guest.Text(reply.Payload).Split('\0');
        Assert.Equal(3, parts.Length);
        Assert.Equal("", parts[1]);
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.DirectoryPart, "/tool\0"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.DirectoryPart, "/tool\0-1\0"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.DirectoryPart, "/tool\0x\0"));
        Assert.Equal("EINVAL", _fixture.Domain0.Ask(XenStoreMessage.DirectoryPart, "/tool\00\0\0"));
        Assert.Equal("ENOENT", _fixture.Domain0.Ask(XenStoreMessage.DirectoryPart, "/none\00\0"));
    }

    [Theory]
    [InlineData(15u)]
    [InlineData(16u)]
    [InlineData(20u)]
    [InlineData(23u)]
    [InlineData(0xffffu)]
    [InlineData(0xffffffffu)]
    public void UnknownTypesAreNotImplemented(uint type)
    {
        Message reply = _fixture.Domain0.Request((XenStoreMessage)type, "/\0");
        Assert.Equal(XenStoreMessage.Error, reply.Type);
        Assert.Equal("ENOSYS\0", Guest.Text(reply.Payload));
    }
}
