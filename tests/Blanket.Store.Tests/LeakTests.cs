using System.Runtime.CompilerServices;
using Blanket.Abi;

namespace Blanket.Store.Tests;

public class LeakTests
{
    [Fact]
    public void AThousandDomainsLeaveNothing()
    {
        StoreFixture fixture = new();
        Assert.Equal(XenStoreError.None, fixture.Store.CreateDomain(0x7fe0, true));
        StoreClient backend = fixture.AddClient(0x7fe0);
        RecordingWatcher watcher = new();
        backend.Watch("/local/domain"u8, "all"u8, watcher);
        Guest observer = fixture.AddGuest(2000);
        observer.Watch("/local/domain/1", "t");
        observer.TakeEvents();
        StoreUsage before = fixture.Store.Usage;
        for (int i = 0; i < 1000; i++)
        {
            Guest guest = fixture.AddGuest(1);
            guest.Write("device/vbd/51712/state", "1");
            guest.Write("device/vbd/51712/state", new string('x', i));
            guest.SetPermissions("device/vbd/51712/state", "n1 r2000");
            guest.Watch("device", "t");
            guest.Watch("@releaseDomain", "t");
            uint transaction = guest.Start();
            guest.Write("in/transaction", "v", transaction);
            guest.Remove("device", transaction);
            uint other = guest.Start();
            guest.Write("control/x", "v", other);
            guest.End(other, i % 2 == 0);
            fixture.Domain0.Write("/local/domain/1/control/x/y", "v");
            if (i % 3 == 0)
            {
                guest.Send(XenStoreMessage.Write, "half\0");
                guest.Push(new byte[5]);
                fixture.Store.RingNotified(1);
                fixture.Run();
            }

            if (i % 5 == 0)
            {
                guest.Ring[XenStoreWire.RequestProducer] += 2000;
                fixture.Store.RingNotified(1);
                fixture.Run();
            }

            if (i % 7 == 0)
            {
                Assert.Equal(XenStoreError.None, fixture.Store.Release(1));
            }

            Assert.Equal(XenStoreError.None, fixture.Store.DestroyDomain(1));
            fixture.Run();
            observer.TakeEvents();
            StoreUsage after = fixture.Store.Usage;
            Assert.Equal(before, after);
        }

        Assert.True(fixture.Store.IsSound);
        Assert.NotEmpty(watcher.Events);
    }

    [Fact]
    public void FootprintsCoverTheRecords()
    {
        Assert.True(Unsafe.SizeOf<NodeRecord>() <= NodeRecord.Footprint, $"{Unsafe.SizeOf<NodeRecord>()}");
        Assert.True(Unsafe.SizeOf<PermissionList>() <= PermissionList.Footprint, $"{Unsafe.SizeOf<PermissionList>()}");
        Assert.True(Unsafe.SizeOf<WatchRecord>() <= WatchRecord.Footprint, $"{Unsafe.SizeOf<WatchRecord>()}");
        Assert.True(Unsafe.SizeOf<EventRecord>() <= EventRecord.Footprint, $"{Unsafe.SizeOf<EventRecord>()}");
        Assert.True(Unsafe.SizeOf<TransactionRecord>() <= TransactionRecord.Footprint, $"{Unsafe.SizeOf<TransactionRecord>()}");
        Assert.Equal(Chunk.Footprint, Unsafe.SizeOf<Chunk>());
    }
}
