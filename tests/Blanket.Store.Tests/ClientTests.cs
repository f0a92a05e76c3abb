using System;
using System.Linq;
using System.Text;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class ClientTests
{
    private const ushort Service = 0x7fe0;

    private readonly StoreFixture _fixture = new();
    private readonly StoreClient _client;

    public ClientTests()
    {
        Assert.Equal(XenStoreError.None, _fixture.Store.CreateDomain(Service, true));
        _client = _fixture.AddClient(Service);
    }

    [Fact]
    public void ReadsAndWrites()
    {
        byte[] buffer = new byte[64];
        Assert.Equal(XenStoreError.NotFound, _client.Read("/x/y"u8, buffer, out _));
        Assert.False(_client.Exists("/x/y"u8));
        Assert.Equal(XenStoreError.None, _client.Write("/x/y"u8, "value"u8));
        Assert.True(_client.Exists("/x/y"u8));
        Assert.Equal(XenStoreError.None, _client.Read("/x/y"u8, buffer, out int length));
        Assert.Equal("value", Encoding.ASCII.GetString(buffer, 0, length));
        Assert.Equal(XenStoreError.TooBig, _client.Read("/x/y"u8, buffer.AsSpan(0, 4), out length));
        Assert.Equal(5, length);
        Assert.Equal(XenStoreError.TooBig, _client.Write("/x/y"u8, new byte[4097]));
        Assert.Equal(XenStoreError.None, _client.MakeDirectory("/x/z"u8));
        Assert.Equal(XenStoreError.TooBig, _client.Directory("/x"u8, buffer.AsSpan(0, 3), out length));
        Assert.Equal(4, length);
        Assert.Equal(XenStoreError.None, _client.Directory("/x"u8, buffer, out length));
        TerminatedStrings names = new(buffer.AsSpan(0, length));
        Assert.True(names.TryTake(out ReadOnlySpan<byte> name) && name.SequenceEqual("y"u8));
        Assert.True(names.TryTake(out name) && name.SequenceEqual("z"u8));
        Assert.False(names.TryTake(out _));
        Assert.Equal(XenStoreError.None, _client.Remove("/x"u8));
        Assert.Equal(XenStoreError.Invalid, _client.Remove("/"u8));
        Assert.Equal(XenStoreError.Invalid, _client.Write("/x\0y"u8, default));
    }

    [Fact]
    public void RelativePathsAreTheServices()
    {
        Assert.Equal(XenStoreError.None, _client.Write("backend/x"u8, "1"u8));
        Assert.Equal("1", _fixture.Domain0.Read("/local/domain/32736/backend/x"));
    }

    [Fact]
    public void Numbers()
    {
        Assert.Equal(XenStoreError.None, _client.WriteNumber("/n"u8, ulong.MaxValue));
        Assert.Equal("18446744073709551615", _fixture.Domain0.Read("/n"));
        Assert.Equal(XenStoreError.None, _client.ReadNumber("/n"u8, out ulong number));
        Assert.Equal(ulong.MaxValue, number);
        Assert.Equal(XenStoreError.Invalid, _client.ReadNumber("/n"u8, out _, uint.MaxValue));
        Assert.Equal(XenStoreError.None, _client.WriteNumber("/n"u8, 0));
        Assert.Equal(XenStoreError.None, _client.ReadNumber("/n"u8, out number, 0));
        Assert.Equal(0UL, number);
        foreach (string bad in new[] { "", "-1", "1x", " 1", "0x10", "18446744073709551616", "123456789012345678901234567890" })
        {
            _fixture.Domain0.Write("/n", bad);
            Assert.Equal(XenStoreError.Invalid, _client.ReadNumber("/n"u8, out _));
        }
    }

    [Fact]
    public void Permissions()
    {
        StorePermission[] entries = [new(1, StoreAccess.None), new(Service, StoreAccess.Read)];
        Assert.Equal(XenStoreError.None, _client.Write("/x"u8, default));
        Assert.Equal(XenStoreError.NotFound, _client.SetPermissions("/x"u8, entries));
        Assert.Equal(XenStoreError.None, _fixture.Store.CreateDomain(1, false));
        Assert.Equal(XenStoreError.None, _client.SetPermissions("/x"u8, entries));
        StorePermission[] back = new StorePermission[4];
        Assert.Equal(XenStoreError.None, _client.GetPermissions("/x"u8, back, out int count));
        Assert.Equal(entries, back[..count]);
        Assert.Equal(XenStoreError.TooBig, _client.GetPermissions("/x"u8, back.AsSpan(0, 1), out count));
        Assert.Equal(2, count);
        Assert.Equal(XenStoreError.Invalid, _client.SetPermissions("/x"u8, default));
    }

    [Fact]
    public void WatchersAreToldFromProcess()
    {
        Guest guest = _fixture.AddGuest(1);
        RecordingWatcher watcher = new();
        Assert.Equal(XenStoreError.None, _client.Watch("/local/domain/1/device"u8, "fe"u8, watcher));
        Assert.Empty(watcher.Events);
        _fixture.Run();
        Assert.Equal([("/local/domain/1/device", "fe")], watcher.Events);
        watcher.Events.Clear();
        guest.Write("device/vif/0/state", "4");
        Assert.Equal([("/local/domain/1/device/vif/0/state", "fe")], watcher.Events);
        watcher.Events.Clear();
        _client.Write("/local/domain/1/device/x"u8, default);
        _client.Write("/local/domain/1/device/x"u8, "again"u8);
        Assert.Empty(watcher.Events);
        Assert.Equal(0UL, _fixture.Store.NextDeadline);
        _fixture.Run();
        Assert.Equal([("/local/domain/1/device/x", "fe")], watcher.Events);
        Assert.Equal(XenStoreError.None, _client.Unwatch("/local/domain/1/device"u8, "fe"u8));
        Assert.Equal(XenStoreError.NotFound, _client.Unwatch("/local/domain/1/device"u8, "fe"u8));
    }

    [Fact]
    public void EndedWatchesAreSilentAtOnce()
    {
        RecordingWatcher watcher = new();
        Assert.Equal(XenStoreError.None, _client.Watch("/x"u8, "1"u8, watcher));
        Assert.Equal(XenStoreError.None, _client.Unwatch("/x"u8, "1"u8));
        RecordingWatcher other = new();
        Assert.Equal(XenStoreError.None, _client.Watch("/x"u8, "1"u8, other));
        _fixture.Run();
        Assert.Empty(watcher.Events);
        Assert.Equal([("/x", "1")], other.Events);
    }

    [Fact]
    public void WatchersMayMakeRequests()
    {
        RecordingWatcher watcher = new();
        int rounds = 0;
        watcher.Then = (path, token) =>
        {
            if (rounds++ < 3)
            {
                Assert.Equal(XenStoreError.None, _client.WriteNumber("/counter"u8, (ulong)rounds));
                Assert.False(_fixture.Store.Process(10));
            }
        };
        Assert.Equal(XenStoreError.None, _client.Watch("/counter"u8, "c"u8, watcher));
        _fixture.Run();
        Assert.Equal(4, watcher.Events.Count);
        Assert.Equal("3", _fixture.Domain0.Read("/counter"));
    }

    [Fact]
    public void WatcherMayCloseItsClient()
    {
        RecordingWatcher watcher = new();
        watcher.Then = (path, token) => _client.Close();
        Assert.Equal(XenStoreError.None, _client.Watch("/a"u8, "a"u8, watcher));
        Assert.Equal(XenStoreError.None, _client.Watch("/b"u8, "b"u8, watcher));
        _fixture.Run();
        Assert.Equal([("/a", "a")], watcher.Events);
        Assert.Equal(0, _fixture.Store.Usage.Watches);
        Assert.Equal(0, _fixture.Store.Usage.Events);
    }

    [Fact]
    public void NumberOfWatchesIsLimited()
    {
        RecordingWatcher watcher = new();
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(XenStoreError.None, _client.Watch("/x"u8, Encoding.ASCII.GetBytes($"{i}"), watcher));
        }

        Assert.Equal(XenStoreError.TooBig, _client.Watch("/x"u8, "more"u8, watcher));
        Assert.Equal(XenStoreError.None, _client.Unwatch("/x"u8, "3"u8));
        Assert.Equal(XenStoreError.None, _client.Watch("/x"u8, "more"u8, watcher));
    }

    [Fact]
    public void Transactions()
    {
        Assert.Equal(XenStoreError.None, _client.StartTransaction(out uint transaction));
        Assert.Equal(XenStoreError.None, _client.Write("/t/a"u8, "1"u8, transaction));
        Assert.False(_client.Exists("/t/a"u8));
        Assert.True(_client.Exists("/t/a"u8, transaction));
        Assert.Equal(XenStoreError.None, _client.EndTransaction(transaction, true));
        Assert.True(_client.Exists("/t/a"u8));
        Assert.Equal(XenStoreError.NotFound, _client.EndTransaction(transaction, true));
        Assert.Equal(XenStoreError.NotFound, _client.EndTransaction(0, true));
        Assert.Equal(XenStoreError.None, _client.StartTransaction(out transaction));
        Assert.Equal(XenStoreError.None, _client.ReadNumber("/t/a"u8, out _, 10, transaction));
        Assert.Equal(XenStoreError.None, _client.Write("/t/a"u8, "2"u8));
        Assert.Equal(XenStoreError.Again, _client.EndTransaction(transaction, true));
        Assert.Equal(XenStoreError.None, _client.StartTransaction(out transaction));
        Assert.Equal(XenStoreError.None, _client.Write("/t/a"u8, "3"u8, transaction));
        Assert.Equal(XenStoreError.None, _client.EndTransaction(transaction, false));
        Assert.Equal("2", _fixture.Domain0.Read("/t/a"));
    }

    [Fact]
    public void ClosingEndsEverything()
    {
        StoreUsage before = _fixture.Store.Usage;
        StoreClient client = _fixture.AddClient(Service);
        client.Watch("/x"u8, "x"u8, new RecordingWatcher());
        client.StartTransaction(out uint transaction);
        client.Write("/x"u8, "1"u8, transaction);
        Assert.Equal(XenStoreError.Busy, _fixture.Store.DestroyDomain(Service));
        client.Close();
        client.Close();
        Assert.Equal(before, _fixture.Store.Usage);
        Assert.Equal(XenStoreError.Invalid, client.Write("/x"u8, "1"u8));
        Assert.Equal(XenStoreError.Invalid, client.StartTransaction(out _));
        Assert.Equal(XenStoreError.Invalid, client.Watch("/x"u8, "x"u8, new RecordingWatcher()));
        Assert.Equal(XenStoreError.NotFound, client.Unwatch("/x"u8, "x"u8));
        _client.Close();
        Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain(Service));
    }

    [Fact]
    public void UnprivilegedClientsHaveTheirDomainsRights()
    {
        Guest guest = _fixture.AddGuest(1);
        StoreClient client = _fixture.AddClient(1);
        guest.Write("a", "v");
        Assert.True(client.Exists("a"u8));
        Assert.Equal(XenStoreError.AccessDenied, client.Write("/x"u8, default));
        Assert.Equal(XenStoreError.NotFound, _fixture.Store.CreateClient(99, 1, out _));
        client.Close();
    }

    [Fact]
    public void HostIsToldOfWorkOnce()
    {
        _fixture.Run();
        int wakes = _fixture.Host.Wakes;
        RecordingWatcher watcher = new();
        _client.Watch("/a"u8, "1"u8, watcher);
        _client.Watch("/a"u8, "2"u8, watcher);
        Assert.Equal(wakes + 1, _fixture.Host.Wakes);
        _fixture.Run();
        _client.Write("/a"u8, default);
        Assert.Equal(wakes + 2, _fixture.Host.Wakes);
        _fixture.Run();
        Assert.Equal(4, watcher.Events.Count);
    }
}
