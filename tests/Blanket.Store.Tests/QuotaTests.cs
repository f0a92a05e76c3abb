using System;
using System.Linq;
using System.Text;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class QuotaTests
{
    [Fact]
    public void NodesAreLimited()
    {
        StoreFixture fixture = new(new StoreQuotas { Nodes = 10 });
        Guest guest = fixture.AddGuest(1); // its home is one
        Assert.Equal("OK", guest.Write("a/b/c", ""));
        Assert.Equal("ENOSPC", guest.Write("d/e/f/g/h/i/j", ""));
        Assert.Equal("ENOENT", guest.Read("d"));
        Assert.Equal("OK", guest.Write("d/e/f/g/h/i", ""));
        Assert.Equal("ENOSPC", guest.MakeDirectory("x"));
        Assert.Equal("OK", guest.Write("a", "changing is fine"));
        Assert.Equal("OK", fixture.Domain0.Write("/local/domain/1/x", "privileged"));
        Assert.Equal("OK", guest.Remove("a/b/c"));
        Assert.Equal("OK", guest.Remove("a/b"));
        Assert.Equal("OK", guest.Write("y", ""));
        Assert.Equal("ENOSPC", guest.Write("z", ""));
        Assert.True(fixture.Store.IsSound);
    }

    [Fact]
    public void NodesAreLimitedAtCommit()
    {
        StoreFixture fixture = new(new StoreQuotas { Nodes = 4 });
        Guest guest = fixture.AddGuest(1);
        uint first = guest.Start();
        uint second = guest.Start();
        Assert.Equal("OK", guest.Write("a/b", "", first));
        Assert.Equal("OK", guest.Write("c/d", "", second));
        Assert.Equal("OK", guest.End(first));

        // Not a conflict of paths when the home was not looked at; it was, so it is EAGAIN before it is a matter of quota.
        Assert.Equal("EAGAIN", guest.End(second));
        second = guest.Start();
        Assert.Equal("OK", guest.Write("c", "", second));
        Assert.Equal("OK", guest.Write("a/e", "", second));
        Assert.Equal("ENOSPC", guest.End(second));
        Assert.Equal("a", guest.Directory("/local/domain/1"));
        second = guest.Start();
        Assert.Equal("OK", guest.Remove("a", second));
        Assert.Equal("OK", guest.Write("c", "", second));
        Assert.Equal("OK", guest.End(second));
        Assert.True(fixture.Store.IsSound);
    }

    [Fact]
    public void NodeSizeIsLimited()
    {
        StoreFixture fixture = new();
        Guest guest = fixture.AddGuest(1);
        Assert.Equal("OK", guest.Write("a", new string('x', 2048 - 33)));
        Assert.Equal("ENOSPC", guest.Write("a", new string('x', 2048 - 32)));
        Assert.Equal("ENOSPC", guest.Write("b", new string('x', 2048 - 32)));
        Assert.Equal("ENOENT", guest.Read("b"));
        Assert.Equal("ENOSPC", guest.SetPermissions("a", "n1 r2"));
        Assert.Equal("ENOSPC", guest.Write("a/child", ""));
        Assert.Equal("OK", fixture.Domain0.Write("/local/domain/1/a", new string('x', 4000)));
        Assert.Equal("OK", fixture.Domain0.Write("/local/domain/1/a/child", ""));

        // Children's names count too.
        int made = 0;
        while (guest.Write($"d/child-{made:d3}", "") == "OK")
        {
            made++;
        }

        Assert.Equal((2048 - 33) / 10, made);
        Assert.True(fixture.Store.IsSound);
    }

    [Fact]
    public void WatchesAreLimited()
    {
        StoreFixture fixture = new(new StoreQuotas { Watches = 5 });
        Guest guest = fixture.AddGuest(1);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal("OK", guest.Watch("a", $"{i}"));
        }

        Assert.Equal("E2BIG", guest.Watch("a", "5"));
        Assert.Equal("EEXIST", guest.Watch("a", "4"));
        guest.Unwatch("a", "0");
        Assert.Equal("OK", guest.Watch("a", "5"));
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal("OK", fixture.Domain0.Watch("/a", $"{i}"));
        }
    }

    [Fact]
    public void TransactionsAreLimited()
    {
        StoreFixture fixture = new();
        Guest guest = fixture.AddGuest(1);
        uint[] open = [.. Enumerable.Range(0, 10).Select(_ => guest.Start())];
        Assert.Equal(10, open.Distinct().Count());
        Assert.Equal("ENOSPC", guest.Ask(XenStoreMessage.TransactionStart, "\0"));
        Assert.Equal("OK", guest.End(open[4], false));
        uint again = guest.Start();
        Assert.DoesNotContain(again, open);
        for (int i = 0; i < 50; i++)
        {
            fixture.Domain0.Start();
        }
    }

    [Fact]
    public void NodesOfATransactionAreLimited()
    {
        StoreFixture fixture = new(new StoreQuotas { TransactionNodes = 20 });
        Guest guest = fixture.AddGuest(1);
        uint transaction = guest.Start();
        int looked = 0;
        while (guest.Read($"x{looked}", transaction) == "ENOENT")
        {
            looked++;
        }

        Assert.Equal(19, looked); // and the home
        Assert.Equal("ENOSPC", guest.Read("y", transaction));
        Assert.Equal("ENOENT", guest.Read("x1", transaction));
        Assert.Equal("ENOMEM", guest.End(transaction));
        transaction = guest.Start();
        Assert.Equal("OK", guest.Write("a", "", transaction));
        Assert.Equal("OK", guest.End(transaction));
    }

    [Fact]
    public void MemoryIsLimited()
    {
        StoreFixture fixture = new(new StoreQuotas { Memory = 64 * 1024 });
        Guest guest = fixture.AddGuest(1);
        string value = new('x', 1900);
        int made = 0;
        while (guest.Write($"n{made}", value) == "OK")
        {
            made++;
        }

        Assert.InRange(made, 20, 32);
        Assert.Equal("ENOMEM", guest.Write("other", value));
        Assert.Equal("ENOENT", guest.Read("other"));
        Assert.Equal("ENOMEM", guest.Ask(XenStoreMessage.Watch, "w\0" + new string('t', 3000) + "\0"));

        // The privileged can still write there, and the guest can make room.
        Assert.Equal("OK", fixture.Domain0.Write("/local/domain/1/control/shutdown", value));
        Assert.Equal("OK", guest.Remove("n0"));
        Assert.Equal("OK", guest.Remove("n1"));
        Assert.Equal("OK", guest.Write("other", value));
        Assert.True(fixture.Store.IsSound);
    }

    [Fact]
    public void MemoryOfTransactionsIsTheirOwners()
    {
        StoreFixture fixture = new(new StoreQuotas { Memory = 64 * 1024 });
        Guest guest = fixture.AddGuest(1);
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal("OK", fixture.Domain0.Write($"/open/{i}", new string('x', 1900)));
        }

        fixture.Domain0.SetPermissions("/open", "r0");
        for (int i = 0; i < 100; i++)
        {
            fixture.Domain0.SetPermissions($"/open/{i}", "r0");
        }

        uint transaction = guest.Start();
        int read = 0;
        while (guest.Read($"/open/{read}", transaction).Length == 1900)
        {
            read++;
        }

        Assert.InRange(read, 10, 40);
        Assert.Equal("ENOMEM", guest.Read("/open/99", transaction));
        Assert.Equal("ENOMEM", guest.End(transaction));
        Assert.Equal(1900, guest.Read("/open/99").Length);
    }

    [Fact]
    public void CapacityKeepsAShareForThePrivileged()
    {
        StoreFixture fixture = new(
            new StoreQuotas { Memory = int.MaxValue },
            new StoreCapacity { Memory = 1024 * 1024, ReservedMemory = 256 * 1024 });
        Guest guest = fixture.AddGuest(1);
        string value = new('x', 1900);
        int made = 0;
        string error;
        while ((error = guest.Write($"n{made}", value)) == "OK")
        {
            made++;
        }

        Assert.Equal("ENOMEM", error);
        Assert.True(fixture.Store.Usage.Memory <= 768 * 1024);
        int more = 0;
        while ((error = fixture.Domain0.Write($"/p{more}", value)) == "OK")
        {
            more++;
        }

        Assert.Equal("ENOMEM", error);
        Assert.InRange(more, 80, 128);
        Assert.Equal("OK", fixture.Domain0.Remove("/local/domain/1"));
        Assert.True(fixture.Store.IsSound);
    }

    [Fact]
    public void RunningOutOfFramesIsAnErrorAndNoMore()
    {
        StoreFixture fixture = new(
            new StoreQuotas { Memory = int.MaxValue, Nodes = int.MaxValue, NodeSize = 1 << 20, TransactionNodes = int.MaxValue }, frames: 48);
        Guest guest = fixture.AddGuest(1);
        Random random = new(42);
        int failures = 0;
        for (int i = 0; i < 3000; i++)
        {
            string path = $"n{random.Next(40)}/m{random.Next(40)}";
            string reply = random.Next(12) switch
            {
                0 => guest.Remove(path),
                1 => guest.Watch(path, $"{i}"),
                2 => guest.SetPermissions(path, $"n1 r{random.Next(5)}"),
                3 => InTransaction(guest, path),
                _ => guest.Write(path, new string('x', random.Next(2000))),
            };
            failures += reply == "ENOMEM" ? 1 : 0;
            if (i % 100 == 0)
            {
                Assert.True(fixture.Store.IsSound);
                guest.TakeEvents();
                guest.Ask(XenStoreMessage.ResetWatches, "\0");
            }
        }

        Assert.True(failures > 20, $"{failures}");
        Assert.Equal(XenStoreError.None, fixture.Store.DestroyDomain(1));
        Assert.True(fixture.Store.IsSound);
    }

    [Fact]
    public void OutstandingRequestsHoldADomainBack()
    {
        StoreFixture fixture = new(new StoreQuotas { Outstanding = 5 });
        Guest writer = fixture.AddGuest(1);
        Guest reader = fixture.AddGuest(2);
        writer.Write("x", "");
        writer.SetPermissions("x", "r1");
        reader.Watch("/local/domain/1/x", "t");
        reader.TakeEvents();

        // The reader does not read: its response ring fills, then events wait, and they count against the writer.
        int sent = 0;
        for (; sent < 200; sent++)
        {
            writer.Send(XenStoreMessage.Write, $"x/{sent}\0");
            for (int i = 0; i < 3; i++)
            {
                writer.Pump();
            }

            if (writer.Replies.Count <= sent)
            {
                break;
            }
        }

        Assert.InRange(sent, 20, 60);
        Assert.InRange(fixture.Store.Usage.Requests, 5, 5);
        Assert.Equal("OK", fixture.Domain0.Write("/local/domain/1/x", "not held back"));

        // Taking the events lets the writer go on, without anything from its side.
        reader.TakeEvents();
        writer.Take();
        Assert.Equal(sent + 1, writer.Replies.Count);
        Assert.Equal(0, fixture.Store.Usage.Requests);
    }

    [Fact]
    public void OutstandingRequestsOfADestroyedDomainAreForgotten()
    {
        StoreFixture fixture = new();
        Guest writer = fixture.AddGuest(1);
        Guest reader = fixture.AddGuest(2);
        writer.Write("x", "");
        writer.SetPermissions("x", "r1");
        reader.Watch("/local/domain/1/x", "t");
        for (int i = 0; i < 30; i++)
        {
            writer.Send(XenStoreMessage.Write, $"x/{i}\0");
            writer.Pump();
        }

        Assert.NotEqual(0, fixture.Store.Usage.Requests);
        fixture.Store.DestroyDomain(1);
        writer = fixture.AddGuest(1);
        Assert.Equal("OK", writer.Write("x", "1"));
        reader.TakeEvents();
        Assert.Equal(0, fixture.Store.Usage.Requests);
        Assert.Equal("OK", writer.Write("x", "2"));
        Assert.Equal(0, fixture.Store.Usage.Requests);
    }

    [Fact]
    public void ReceiverWithoutMemoryLosesEventsAndTheSenderGoesOn()
    {
        StoreFixture fixture = new(new StoreQuotas { Memory = 16 * 1024 });
        Guest guest = fixture.AddGuest(1);
        Assert.Equal("OK", guest.Watch("/local/domain/1/x", "t"));
        guest.TakeEvents();
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal("OK", fixture.Domain0.Write("/local/domain/1/x/" + new string('a', 100) + i, ""));
            Assert.Equal("OK", fixture.Domain0.Remove("/local/domain/1/x/" + new string('a', 100) + i));
        }

        Assert.InRange(fixture.Store.Usage.Events, 10, 100);
        Assert.InRange(guest.TakeEvents().Count, 10, 110);
        Assert.Equal("OK", guest.Write("x", "1"));
        Assert.Equal([("/local/domain/1/x", "t")], guest.TakeEvents());
    }

    private static string InTransaction(Guest guest, string path)
    {
        uint.TryParse(guest.Ask(XenStoreMessage.TransactionStart, "\0"), out uint transaction);
        if (transaction == 0)
        {
            return "ENOMEM";
        }

        guest.Directory("/local/domain/1", transaction);
        guest.Write(path, new string('t', 1000), transaction);
        guest.Remove(path[..path.IndexOf('/', StringComparison.Ordinal)], transaction);
        guest.Write(path, new StringBuilder().Append('u', 500).ToString(), transaction);
        return guest.End(transaction);
    }
}
