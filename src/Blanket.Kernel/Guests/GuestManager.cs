using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Bundles;
using Blanket.Core.Domains;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Entry;
using Blanket.Kernel.Management;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>
/// The guests, of the boot bundle and those that an operator adds: starts them, does what their configuration says when one stops,
/// and powers the machine off when none is left, unless the option "stay" is given. Its events in the log are what `blanket run` reads (docs/hacking.md, "Events in the log").
/// </summary>
internal static class GuestManager
{
    private static Guest?[]? s_guests;
    private static BundleMemory s_bootBundle;
    private static bool s_stays;
    private static int s_hasWork;
    private static bool s_isStarted;

    // How long to wait for others to let go of a dead domain's frames before looking again, ns.
    private const ulong RetryInterval = 10_000_000;
    private static RetryTimer? s_timer;

    /// <summary>Frames that guests' memory leaves for what the hypervisor does for guests: 4 MiB.</summary>
    internal const ulong ReservedFrames = 1024;

    /// <summary>Of these, frames for the objects of a guest that is being started: 2 MiB.</summary>
    internal const ulong ArenaFrames = 512;

    /// <summary>Places for guests; those beyond the last are null.</summary>
    internal static Guest?[] Places => s_guests!;

    /// <summary>Reads the bundle; once at boot, in an allocation scope.</summary>
    /// <returns>False when there is none, or it is broken; the log says so.</returns>
    internal static bool Initialize(ulong address, ulong length)
    {
        if (length == 0 || length > int.MaxValue)
        {
            Log.Line("no boot bundle: start the machine with one as its first module"u8).End();
            return false;
        }

        s_bootBundle = new BundleMemory(address, (int)length);
        BundleStatus status = s_bootBundle.Open(out BundleReader bundle);
        if (status != BundleStatus.Ok)
        {
            Log.Line("the boot bundle is broken, status "u8).Decimal((ulong)status).End();
            return false;
        }

        s_stays = BootOptions.Has(bundle.Options, "stay"u8);
        MemoryBalancer.Create(bundle.Options);
        Recount.Initialize(BootOptions.Number(bundle.Options, "recount="u8));
        Bridges.CreateAll(in bundle);
        s_timer = new RetryTimer();
        LongWork = new LongWork();
        s_guests = new Guest?[BootBundle.MaximumGuests];
        for (int i = 0; i < bundle.GuestCount; i++)
        {
            BootBundleGuest record = bundle.Guest(i);
            s_guests[i] = new Guest();
            if (!s_guests[i]!.TryConfigure(in record, s_bootBundle, isTransient: false))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The guest of a name; null when there is none.</summary>
    internal static Guest? Find(ReadOnlySpan<byte> name)
    {
        foreach (Guest? guest in s_guests!)
        {
            if (guest != null && guest.IsConfigured && guest.Name.SequenceEqual(name))
            {
                return guest;
            }
        }

        return null;
    }

    /// <summary>Takes in and starts the guest of a bundle that an operator sent; the bundle is the guest's from then on, on 0.</summary>
    /// <returns>
    /// 0 (it is being built, or waits for memory; what comes of it is an event in the log), -EINVAL (no bundle with exactly one guest, or its
    /// console's port is another's), -EEXIST (there is a guest of that name), -ENOSPC (too many guests), or -ENOEXEC (it could not be started; the
    /// log says why).
    /// </returns>
    internal static int Add(BundleMemory memory)
    {
        if (memory.Length == 0 || memory.Open(out BundleReader bundle) != BundleStatus.Ok || bundle.GuestCount != 1)
        {
            return -Errno.EINVAL;
        }

        BootBundleGuest record = bundle.Guest(0);
        Guest? known = Find(Guest.NameOf(in record));
        if (known != null && known.State != GuestState.Stopped)
        {
            return -Errno.EEXIST;
        }

        known?.Forget();
        Guest? guest = CreatePlace();
        if (guest == null)
        {
            return -Errno.ENOSPC;
        }

        if (!guest.TryConfigure(in record, memory, isTransient: true))
        {
            return -Errno.EINVAL;
        }

        guest.IsNew = true;
        GuestStarts.Begin(guest);
        bool isTaken = guest.State is GuestState.Starting or GuestState.Waiting;
        End(guest);
        return isTaken ? 0 : -Errno.ENOEXEC;
    }

    /// <summary>A free place, which is made if need be; null when there are too many, or memory is out.</summary>
    private static Guest? CreatePlace()
    {
        for (int i = 0; i < s_guests!.Length; i++)
        {
            if (s_guests[i] == null)
            {
                if (!Memory.PlaceArena.TryEnter(Guest.ObjectSize))
                {
                    return null;
                }

                s_guests[i] = new Guest();
                Memory.PlaceArena.Leave();
            }

            if (!s_guests[i]!.IsConfigured)
            {
                return s_guests[i];
            }
        }

        return null;
    }

    /// <summary>Has all guests built, one after the other.</summary>
    internal static void StartAll()
    {
        foreach (Guest? guest in s_guests!)
        {
            if (guest != null)
            {
                guest.State = GuestState.Waiting;
            }
        }

        s_isStarted = true;
        Wake();
    }

    /// <summary>
    /// The CPU whose work the lives of guests are: building, deciding what becomes of one that stopped, teardown. So none of it needs locks
    /// against itself.
    /// </summary>
    internal const int Cpu = 0;

    /// <summary>Tells all guests a wall clock that has changed (wc_* of struct shared_info); on the guests' CPU.</summary>
    internal static void TellWallClock()
    {
        foreach (Guest? guest in s_guests!)
        {
            if (guest is { IsConfigured: true, Domain: not null, State: GuestState.Running or GuestState.Preserved })
            {
                VcpuTime.WriteWallClock(guest.Domain.SharedInfoFrame << Machine.Cpu.PageShift);
            }
        }
    }

    /// <summary>Asks for <see cref="HandleStopped"/> to look at the guests; from any CPU.</summary>
    internal static void Wake()
    {
        Interlocked.Exchange(ref s_hasWork, 1);
        Scheduler.Prompt(Cpu);
    }

    /// <summary>A CPU has passed its exit path while somebody waits for all to do so.</summary>
    internal static void GracePeriodMayBeOver()
    {
        if (s_isStarted)
        {
            Wake();
        }
    }

    /// <summary>The same after a while: what is waited for tells nobody when it comes.</summary>
    internal static void WakeLater()
    {
        // Arming is work for the CPU, which would interrupt the teardown of the next guest.
        if (!s_timer!.IsArmed)
        {
            Scheduler.Arm(s_timer, SystemTime.Now + RetryInterval);
        }
    }

    /// <summary>When guests are built and taken apart, on the guests' CPU.</summary>
    internal static LongWork LongWork { get; private set; } = null!;

    /// <summary>Goes on with starts and teardowns of guests, until something waits for this CPU.</summary>
    internal static void TakeTurn()
    {
        ulong start = SystemTime.Now;
        bool hasMore = false;

        // Nobody is to wait for what this CPU holds, not even while it has nothing else to do.
        VcpuSwitch.Leave();
        foreach (Guest? guest in s_guests!)
        {
            if (guest is { AwaitsTurn: true })
            {
                // Before its work: a handler that is abandoned is not to be tried again at once.
                guest.AwaitsTurn = false;
                GoOn(guest);
                hasMore |= guest.AwaitsTurn;
            }
        }

        LongWork.End(start, SystemTime.Now, hasMore);
        EndOwnWork(start);
    }

    /// <summary>What this CPU has done since <paramref name="start"/> is not the guest's to pay that was to run on it.</summary>
    private static void EndOwnWork(ulong start)
    {
        Scheduler.Queue(Cpu).TakeTime(Cpu, start, SystemTime.Now);
        VcpuSwitch.UpdateRunState();
    }

    /// <summary>Goes on with what stopped guests need, and with what others ask of the guests' CPU; called at each pass of its work loop.</summary>
    internal static void HandleStopped()
    {
        if (Volatile.Read(ref s_hasWork) != 0 && s_isStarted)
        {
            HandleWork();
        }
    }

    // Apart, so that a pass without work does not clear this one's large frame.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void HandleWork()
    {
        Interlocked.Exchange(ref s_hasWork, 0);
        ulong start = SystemTime.Now;
        XenRequests.Process();
        MachineBalloon.Process();
        MemoryBalancer.Process();
        ManagementService.Process();
        Recount.Process();
        MachineShutdown.Process();
        bool anyLeft = s_stays && !MachineShutdown.IsUnderWay;
        foreach (Guest? guest in s_guests!)
        {
            if (guest != null && guest.IsConfigured)
            {
                Handle(guest);
                anyLeft |= guest.State != GuestState.Stopped;
            }
        }

        if (!anyLeft)
        {
            Recount.ReportEnd();
            Audit.Report();
            Log.Line("event all-guests-done"u8).End();
            MachineShutdown.EndMachine();
        }

        EndOwnWork(start);
    }

    private sealed class RetryTimer : Timer
    {
        public override void Expired() => Wake();
    }

    private static void Handle(Guest guest)
    {
        if (guest.State == GuestState.Ended)
        {
            Decide(guest);
        }

        if (guest.State == GuestState.Waiting)
        {
            GuestStarts.Begin(guest);
            End(guest);
        }

        if (guest.State == GuestState.Destroying)
        {
            guest.AwaitsTurn = true;
            LongWork.Request();
        }
    }

    private static void GoOn(Guest guest)
    {
        if (guest.State == GuestState.Starting)
        {
            GuestStarts.GoOn(guest);
        }
        else
        {
            TearDown(guest);
        }
    }

    private static void TearDown(Guest guest)
    {
        if (!GuestTeardown.Run(guest))
        {
            return;
        }

        guest.State = GuestState.Stopped;
        guest.Domain = null;
        Log.Line("event guest-gone name="u8).Text(guest.Name).End();
        if (guest.StartsAgain)
        {
            Audit.Report();
            GuestStarts.Begin(guest);
        }

        End(guest);
        MemoryBalancer.Balance();

        // It may have been the last one.
        Wake();
    }

    /// <summary>Forgets what a guest that is stopped for good leaves.</summary>
    internal static void End(Guest guest)
    {
        if (guest.State != GuestState.Stopped)
        {
            return;
        }

        // What is typed for it yet is not for a guest that has its name later.
        guest.ConsolePort?.DropInput();
        if (guest.IsTransient)
        {
            guest.Forget();
        }
    }

    /// <summary>Ends a guest at once, whatever its configuration says.</summary>
    internal static void Destroy(Guest guest)
    {
        guest.StartsAgain = false;
        if (guest.State is GuestState.Stopped or GuestState.Destroying)
        {
            return;
        }

        Log.Line("event guest-destroy name="u8).Text(guest.Name).End();
        if (guest.State is GuestState.Waiting or GuestState.Starting)
        {
            GuestStarts.Cancel(guest);
        }
        else
        {
            GuestTeardown.Begin(guest);
        }
    }

    /// <summary>Ends all guests at once; the machine powers off when the last one is gone.</summary>
    internal static void EndAll()
    {
        s_stays = false;
        foreach (Guest? guest in s_guests!)
        {
            if (guest != null && guest.IsConfigured)
            {
                Destroy(guest);
            }
        }
    }

    /// <summary>A domain stopped by itself: on_poweroff, on_reboot, on_crash, on_watchdog (xl.cfg(5)).</summary>
    private static void Decide(Guest guest)
    {
        BootBundleAction action;
        switch (guest.Domain!.ShutdownReason)
        {
            case ShutdownReason.PowerOff:
                Log.Line("event guest-poweroff name="u8).Text(guest.Name).End();
                action = guest.Record.OnPoweroff;
                break;
            case ShutdownReason.Reboot:
                Log.Line("event guest-reboot name="u8).Text(guest.Name).End();
                action = guest.Record.OnReboot;
                break;
            case ShutdownReason.Watchdog:
                Log.Line("event guest-crash name="u8).Text(guest.Name).Text(" reason=watchdog"u8).End();
                action = guest.Record.OnWatchdog;
                break;
            default:
                Log.Line("event guest-crash name="u8).Text(guest.Name).Text(" reason="u8)
                    .Decimal((uint)guest.Domain.ShutdownReason).End();
                action = guest.Record.OnCrash;
                break;
        }

        if (action is BootBundleAction.Preserve && !MachineShutdown.IsUnderWay)
        {
            guest.State = GuestState.Preserved;
            return;
        }

        guest.StartsAgain = GuestStarts.StartsAgain(action) && !MachineShutdown.IsUnderWay;
        GuestTeardown.Begin(guest);
    }
}
