using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Memory;
using Blanket.Kernel.Guests;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Kernel.Services;

/// <summary>The one xenstore of the hypervisor, its lock, and its place in the work of the CPUs.</summary>
internal sealed class StoreService : StoreHost
{
    private const int TurnsAtATime = 64;
    private const int Memory = 8 * 1024 * 1024;
    private const int ReservedMemory = 2 * 1024 * 1024;
    private const int Domains = 256;

    private static StoreService? s_instance;
    private static SpinLock s_lock;
    private static int s_hasWork;

    /// <summary>The store; its lock is <see cref="Acquire"/>'s.</summary>
    internal static XenStore Store { get; private set; } = null!;

    /// <summary>The services' own client: domain id <see cref="DomainId.Services"/>, privileged.</summary>
    internal static StoreClient Client { get; private set; } = null!;

    /// <summary>When <see cref="Process"/> has something to do by itself, ns since boot.</summary>
    internal static ulong NextDeadline => s_instance == null ? ulong.MaxValue : Store.NextDeadline;

    /// <summary>Makes the store; once at boot, in an allocation scope.</summary>
    /// <param name="key0">Half of a random key.</param>
    /// <param name="key1">The other half.</param>
    internal static void Initialize(ulong key0, ulong key1)
    {
        s_lock = new SpinLock(LockClass.Store);
        s_instance = new StoreService();
        StoreCapacity capacity = new()
        {
            Domains = Domains,
            Connections = Domains + 64,
            Memory = Memory,
            ReservedMemory = ReservedMemory,
            HashBits = 10,
        };
        Store = new XenStore(s_instance, new StoreQuotas(), capacity, key0, key1);
        Check.That(Store.CreateDomain(DomainId.Services, true) == XenStoreError.None);
        Check.That(Store.CreateClient(DomainId.Services, 4096, out StoreClient? client) == XenStoreError.None);
        Client = client!;
        s_lock.Acquire();
        GuestNodes.CreateDirectories();
        s_lock.Release();
    }

    /// <summary>Bytes that <see cref="Connect"/> takes of the arena at most.</summary>
    internal const int ObjectSize = 32 << 10;

    /// <summary>Takes the store's lock.</summary>
    internal static void Acquire() => s_lock.Acquire();

    /// <summary>Releases it.</summary>
    internal static void Release() => s_lock.Release();

    /// <summary>Whether the store's time has come; the clock is not read while it waits for none.</summary>
    private static bool IsDue => Store.NextDeadline is ulong deadline and not ulong.MaxValue && deadline <= SystemTime.Now;

    /// <summary>Does some of the work that waits; asks to be called again when there is more.</summary>
    internal static void Process()
    {
        if (s_instance == null || (Volatile.Read(ref s_hasWork) == 0 && !IsDue))
        {
            return;
        }

        Volatile.Write(ref s_hasWork, 0);
        s_lock.Acquire();
        bool more = Store.Process(TurnsAtATime);
        s_lock.Release();
        if (more)
        {
            s_instance.WorkArrived();
        }
    }

    /// <summary>Makes a domain known, with its nodes, and starts to serve its ring; the lock is held, in the domain's arena.</summary>
    /// <returns>False when the store, ports or memory are out; <see cref="Forget"/> cleans up.</returns>
    internal static bool Connect(Domain domain, in BootBundleGuest record, ulong frame, uint port)
    {
        if (Store.CreateDomain(domain.Id, false) != XenStoreError.None
            || GuestNodes.Create(domain, in record, frame, port) != XenStoreError.None)
        {
            return false;
        }

        GuestStoreRing? ring = GuestStoreRing.Create(domain, frame, port);
        return ring != null && Store.Introduce(domain.Id, ring) == XenStoreError.None;
    }

    /// <summary>Stops serving a domain's ring.</summary>
    internal static void Disconnect(Domain domain)
    {
        s_lock.Acquire();
        Store.Release(domain.Id);
        s_lock.Release();
    }

    /// <summary>Removes a domain and its nodes.</summary>
    internal static void Forget(Domain domain)
    {
        s_lock.Acquire();
        GuestNodes.Remove(domain);
        Store.DestroyDomain(domain.Id);
        s_lock.Release();
    }

    /// <summary>The event channel of a domain's ring has an event.</summary>
    internal static void RingNotified(ushort domid)
    {
        s_lock.Acquire();
        Store.RingNotified(domid);
        s_lock.Release();
    }

    /// <inheritdoc/>
    public override ulong Now => SystemTime.Now;

    /// <inheritdoc/>
    public override void WorkArrived()
    {
        Volatile.Write(ref s_hasWork, 1);
        PendingWork.Raise();
    }

    /// <inheritdoc/>
    public override StoreRing? CreateRing(ushort domid, ulong frame, uint port) => null;

    /// <inheritdoc/>
    public override void Print(ReadOnlySpan<byte> text) => Log.Line("xenstore: "u8).Quoted(text).End();
}
