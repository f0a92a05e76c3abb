using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Drivers.Xen;
using Blanket.Kernel.Entry;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>
/// What a Xen underneath asks of the machine by the node control/shutdown (xen/docs/misc/xenstore-paths): to power off, to reboot, or to
/// suspend for a save or a migration. The answer to a request is that the node is emptied.
/// </summary>
internal sealed class XenRequests : StoreWatch
{
    private static int s_wantsSuspend;

    private readonly XenbusStore _store;
    private readonly Reading _reading;

    private XenRequests(XenbusStore store)
    {
        _store = store;
        _reading = new Reading(store);
    }

    private static ReadOnlySpan<byte> Node => "control/shutdown"u8;

    /// <summary>Listens for requests; once at boot, in an allocation scope.</summary>
    internal static void Create(XenbusStore store)
    {
        store.TryWrite(0, "control/feature-poweroff"u8, "1"u8, null);
        store.TryWrite(0, "control/feature-reboot"u8, "1"u8, null);
        store.TryWrite(0, "control/feature-suspend"u8, "1"u8, null);
        if (!store.TryWatch(Node, new XenRequests(store)))
        {
            Log.Line("xen: control/shutdown cannot be watched"u8).End();
        }
    }

    /// <summary>Suspends the machine if that is wanted; on the guests' CPU, between all other work.</summary>
    internal static void Process()
    {
        if (Volatile.Read(ref s_wantsSuspend) != 0 && Interlocked.Exchange(ref s_wantsSuspend, 0) != 0)
        {
            XenSuspend.Run();
        }
    }

    /// <inheritdoc/>
    public override void Fired() => _store.TryRead(0, Node, _reading);

    private sealed class Reading(XenbusStore store) : StoreReply
    {
        public override void Completed(XenStoreError error, ReadOnlySpan<byte> value)
        {
            bool reboots = value.SequenceEqual("reboot"u8);
            bool suspends = value.SequenceEqual("suspend"u8);
            if (error != XenStoreError.None || value.IsEmpty)
            {
                return;
            }

            store.TryWrite(0, Node, ""u8, null);
            if (suspends)
            {
                Volatile.Write(ref s_wantsSuspend, 1);
                GuestManager.Wake();
            }
            else if (reboots || value.SequenceEqual("poweroff"u8) || value.SequenceEqual("halt"u8))
            {
                MachineShutdown.Request(reboots);
            }
            else
            {
                Log.Line("xen: L0 asks for "u8).Quoted(value).Text(", which is not known"u8).End();
            }
        }
    }
}
