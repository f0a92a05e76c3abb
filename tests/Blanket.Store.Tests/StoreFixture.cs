using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store.Tests;

/// <summary>A store with domain 0 (privileged, on a ring), and helpers to make guests as a domain builder does.</summary>
internal sealed class StoreFixture
{
    public StoreFixture(StoreQuotas? quotas = null, StoreCapacity? capacity = null, int frames = 2048, bool withDomain0 = true)
    {
        FrameTable.Simulate(frames);
        Quotas = quotas ?? new StoreQuotas();
        Store = new XenStore(Host, Quotas, capacity ?? new StoreCapacity(), 0x0123456789abcdef, 0xfedcba9876543210);
        if (withDomain0)
        {
            Domain0 = Introduce(0);
        }
    }

    public TestHost Host { get; } = new();

    public StoreQuotas Quotas { get; }

    public XenStore Store { get; }

    public Guest Domain0 { get; } = null!;

    /// <summary>Creates and introduces a domain with a home that it owns.</summary>
    public Guest AddGuest(ushort domid)
    {
        Assert.Equal(XenStoreError.None, Store.CreateDomain(domid, false));
        Assert.Equal("OK", Domain0.Write($"/local/domain/{domid}", ""));
        Assert.Equal("OK", Domain0.SetPermissions($"/local/domain/{domid}", $"n{domid}"));
        return Introduce(domid);
    }

    public Guest Introduce(ushort domid)
    {
        TestRing ring = new();
        Assert.Equal(XenStoreError.None, Store.Introduce(domid, ring));
        return new Guest(this, domid, ring);
    }

    public StoreClient AddClient(ushort domid, int maximumWatches = 16)
    {
        Assert.Equal(XenStoreError.None, Store.CreateClient(domid, maximumWatches, out StoreClient? client));
        return client!;
    }

    /// <summary>Lets the store do all that it can do now.</summary>
    public void Run()
    {
        int turns = 0;
        while (Store.Process(1))
        {
            turns++;
            Assert.True(turns < 1_000_000, "the store is busy without end");
        }
    }
}

/// <summary>Remembers what it is told.</summary>
internal sealed class RecordingWatcher : StoreWatcher
{
    public List<(string Path, string Token)> Events { get; } = [];

    public Action<string, string>? Then { get; set; }

    public override void Fired(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token)
    {
        string pathText = Encoding.ASCII.GetString(path);
        string tokenText = Encoding.ASCII.GetString(token);
        Events.Add((pathText, tokenText));
        Then?.Invoke(pathText, tokenText);
    }
}
