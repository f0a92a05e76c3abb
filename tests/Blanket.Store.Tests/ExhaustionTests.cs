using System;
using System.Globalization;
using Blanket.Machine;

namespace Blanket.Store.Tests;

/// <summary>The store answers a request for which there is no memory with an errno; nothing is half done, and later requests succeed.</summary>
public sealed class ExhaustionTests : IDisposable
{
    private const int Nodes = 12;

    /// <inheritdoc/>
    public void Dispose() => FrameAllocator.FailEvery(0);

    [Fact]
    public void WhicheverAllocationFailsWhoAskedIsTold()
    {
        int failures = 1;
        for (int interval = 1; failures != 0; interval++)
        {
            StoreFixture fixture = new();
            Guest guest = fixture.AddGuest(1);
            FrameAllocator.FailEvery(interval);
            int refused = Requests(guest);
            failures = FrameAllocator.Failures;
            FrameAllocator.FailEvery(0);
            Assert.True(refused == 0 || failures != 0, $"{refused} refused without need");
            Assert.True(fixture.Store.IsSound);
            Assert.Equal(0, Requests(guest));
            Assert.True(fixture.Store.IsSound);
        }
    }

    /// <summary>Nodes of all sizes, permissions, watches and transactions; removed again.</summary>
    /// <returns>How many requests were refused for want of memory.</returns>
    private static int Requests(Guest guest)
    {
        int refused = 0;
        for (int i = 0; i < Nodes; i++)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"dir{i}/a/b");
            refused += Count(guest.Write(name, new string('x', i * 150)));
            refused += Count(guest.SetPermissions($"dir{i}", "n1 r2 r3"), "ENOENT");
            refused += Count(guest.Watch($"dir{i}", "token"));
            string started = guest.Ask(Abi.XenStoreMessage.TransactionStart, "\0");
            if (!uint.TryParse(started, CultureInfo.InvariantCulture, out uint transaction))
            {
                refused += Count(started);
                continue;
            }

            refused += Count(guest.Write($"dir{i}/c", "1", transaction));
            refused += Count(guest.Remove($"dir{i}/a", transaction), "ENOENT");
            refused += Count(guest.End(transaction, i % 3 != 0), "EAGAIN");
        }

        for (int i = 0; i < Nodes; i++)
        {
            refused += Count(guest.Unwatch($"dir{i}", "token"), "ENOENT");
            refused += Count(guest.Remove($"dir{i}"), "ENOENT");
        }

        guest.TakeEvents();
        return refused;
    }

    private static int Count(string answer, string? follows = null)
    {
        // What was refused before is not there now.
        bool isRefused = answer is "ENOMEM" or "ENOSPC";
        Assert.True(answer == "OK" || isRefused || answer == follows, answer);
        return isRefused ? 1 : 0;
    }
}
