using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Kernel.Management;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>
/// The machine's memory policy (docs/management.md, "Memory"): makes room for a guest that is to be started, for one that is to have more, and for L0, by
/// asking guests to shrink, and gives back what is left over. Driven by events, on the guests' CPU; <see cref="MemoryShares"/> does the sums.
/// </summary>
internal static class MemoryBalancer
{
    private const int KiBPerFrame = Cpu.PageSize / 1024;

    // What a guest's records and page tables take at most besides its memory while it is being built.
    private const ulong RecordFrames = GuestManager.ReservedFrames;

    // Memory that comes back is given on in pieces of 4 MiB.
    private const ulong GivenAtOnce = 1024;

    private const ulong NsPerSecond = 1_000_000_000;
    private const ulong DefaultPatience = 30;

    private static FramesAreFree? s_observer;
    private static PatienceTimer? s_timer;
    private static ulong s_patience;
    private static int s_isReached;

    // A guest is being built, of memory that is claimed for it.
    private static bool s_isClaimed;

    // The start that memory is being made free for, and when it is given up.
    private static Guest? s_waiting;
    private static ulong s_deadline;

    /// <summary>What is done when something needs more memory than is free.</summary>
    internal static ManagementMemoryPolicy Policy { get; private set; }

    /// <summary>Reads the options <c>memory=share</c> and <c>memory-patience=SECONDS</c>; once at boot, in an allocation scope.</summary>
    internal static void Create(ReadOnlySpan<byte> options)
    {
        s_observer = new FramesAreFree();
        s_timer = new PatienceTimer();
        Policy = BootOptions.Has(options, "memory=share"u8) ? ManagementMemoryPolicy.Share : ManagementMemoryPolicy.Manual;
        ulong seconds = BootOptions.Number(options, "memory-patience="u8);
        s_patience = (seconds == 0 ? DefaultPatience : seconds) * NsPerSecond;
    }

    /// <summary>Changes the policy; a start that waits goes on waiting.</summary>
    internal static void SetPolicy(ManagementMemoryPolicy policy)
    {
        Policy = policy;
        Balance();
    }

    /// <summary>Sees to it that a start has its memory, which nobody else gets from then on until <see cref="EndClaim"/>.</summary>
    /// <returns>When it waits, the same is to be asked again at the next <see cref="GuestManager.Wake"/>. When it is refused, the log says why.</returns>
    internal static MemoryClaim Claim(Guest guest)
    {
        if (s_waiting == guest)
        {
            return Continue(guest);
        }

        if (s_waiting != null || s_isClaimed)
        {
            return MemoryClaim.Waits;
        }

        ulong need = guest.Record.MemoryKiB / KiBPerFrame + RecordFrames;
        FrameAllocator.Claim(need);
        if (FrameAllocator.IsClaimCovered)
        {
            s_isClaimed = true;
            return MemoryClaim.Granted;
        }

        if (Policy == ManagementMemoryPolicy.Share && TryAskForRoom(guest))
        {
            s_waiting = guest;
            s_deadline = SystemTime.Now + s_patience;
            Scheduler.Arm(s_timer!, s_deadline);
            FrameAllocator.Await(FrameAllocator.Reserve + need, s_observer!);
            return MemoryClaim.Waits;
        }

        if (Policy == ManagementMemoryPolicy.Manual)
        {
            Refuse(guest).Text("not enough memory"u8).End();
        }

        FrameAllocator.EndClaim();
        return MemoryClaim.Refused;
    }

    /// <summary>The guest that memory was granted to has what it needs, or needs nothing any more: the next may have its own.</summary>
    internal static void EndClaim()
    {
        s_isClaimed = false;
        FrameAllocator.EndClaim();
        GuestManager.Wake();
    }

    /// <summary>A start that waits is not wanted any more.</summary>
    internal static void Cancel(Guest guest)
    {
        if (s_waiting == guest)
        {
            EndWait();
            FrameAllocator.EndClaim();
            TakeNothing();
        }
    }

    /// <summary>What comes free is news; on the guests' CPU.</summary>
    internal static void Process()
    {
        if (Volatile.Read(ref s_isReached) != 0)
        {
            Volatile.Write(ref s_isReached, 0);
            Balance();
        }
    }

    /// <summary>Gives guests that have less than they are to have what nobody needs.</summary>
    internal static void Balance()
    {
        if (Policy != ManagementMemoryPolicy.Share || s_waiting != null)
        {
            return;
        }

        Span<MemoryShare> shares = Collect(stackalloc MemoryShare[BootBundle.MaximumGuests]);
        MemoryShares.Give(shares, MemoryShares.Spare(shares, FrameAllocator.FreeFrames, Kept));
        Apply(shares);
    }

    /// <summary>Changes what a guest is to have, in frames, and makes room for that.</summary>
    /// <returns>0, -EAGAIN (a start waits for memory), -ENOMEM (others would have to go below their floors), or why xenstore refused.</returns>
    internal static int SetWish(Guest guest, ulong frames)
    {
        if (Policy == ManagementMemoryPolicy.Share)
        {
            if (s_waiting != null)
            {
                return -Errno.EAGAIN;
            }

            Span<MemoryShare> shares = Collect(stackalloc MemoryShare[BootBundle.MaximumGuests]);
            ref MemoryShare own = ref shares[IndexOf(guest)];
            own.Floor = own.Target = own.Wish = frames;
            if (!MemoryShares.TryTake(shares, MemoryShares.Missing(shares, FrameAllocator.FreeFrames, Kept)))
            {
                return -Errno.ENOMEM;
            }

            guest.Wish = frames;
            Apply(shares);
            Balance();
            return 0;
        }

        int error = GuestControl.SetTarget(guest, frames);
        guest.Wish = error == 0 ? frames : guest.Wish;
        return error;
    }

    /// <summary>L0 wants memory that is not free: guests shrink for it as far as they may.</summary>
    internal static void MakeRoomForL0()
    {
        if (Policy == ManagementMemoryPolicy.Share && s_waiting == null)
        {
            Span<MemoryShare> shares = Collect(stackalloc MemoryShare[BootBundle.MaximumGuests]);
            ulong missing = MemoryShares.Missing(shares, FrameAllocator.FreeFrames, Kept);
            MemoryShares.TryTake(shares, Math.Min(missing, MemoryShares.AboveFloors(shares)));
            Apply(shares);
        }
    }

    // Frames that guests' memory leaves.
    private static ulong Kept => FrameAllocator.Reserve + FrameAllocator.ClaimedFrames + MachineBalloon.Missing;

    private static MemoryClaim Continue(Guest guest)
    {
        if (FrameAllocator.IsClaimCovered)
        {
            EndWait();
            s_isClaimed = true;
            return MemoryClaim.Granted;
        }

        if (SystemTime.Now < s_deadline)
        {
            return MemoryClaim.Waits;
        }

        EndWait();
        ReportUnwilling(guest);
        FrameAllocator.EndClaim();
        TakeNothing();
        return MemoryClaim.Refused;
    }

    private static bool TryAskForRoom(Guest guest)
    {
        Span<MemoryShare> shares = Collect(stackalloc MemoryShare[BootBundle.MaximumGuests]);
        ulong missing = MemoryShares.Missing(shares, FrameAllocator.FreeFrames, Kept);
        ulong above = MemoryShares.AboveFloors(shares);
        if (!MemoryShares.TryTake(shares, missing))
        {
            Refuse(guest).Text("not enough memory: "u8).Decimal(missing * KiBPerFrame).Text(" KiB are missing, and guests have "u8)
                .Decimal(above * KiBPerFrame).Text(" KiB above their floors"u8).End();
            return false;
        }

        Log.Line("guest "u8).Quoted(guest.Name).Text(" waits for memory: "u8).Decimal(missing * KiBPerFrame)
            .Text(" KiB from other guests"u8).End();
        Apply(shares);
        return true;
    }

    /// <summary>Others may have waited for the one that waited.</summary>
    private static void EndWait()
    {
        s_waiting = null;
        TimerQueue.Cancel(s_timer!);
        FrameAllocator.Await(ulong.MaxValue, s_observer!);
        GuestManager.Wake();
    }

    private static void ReportUnwilling(Guest guest)
    {
        LogLine line = Refuse(guest);
        line.Text("no memory from"u8);
        foreach (Guest? other in GuestManager.Places)
        {
            if (other is { IsConfigured: true, Domain: not null, State: GuestState.Running } && other.Domain.FrameCount > other.Target)
            {
                line.Text(" "u8).Quoted(other.Name).Text(" ("u8).Decimal((other.Domain.FrameCount - other.Target) * KiBPerFrame).Text(" KiB)"u8);
            }
        }

        line.Text(" within "u8).Decimal(s_patience / NsPerSecond).Text(" s"u8).End();
    }

    private static LogLine Refuse(Guest guest)
    {
        LogLine line = Log.Line("guest "u8);
        line.Quoted(guest.Name).Text(" cannot be started: "u8);
        return line;
    }

    /// <summary>What guests were asked for is not needed after all.</summary>
    private static void TakeNothing()
    {
        Span<MemoryShare> shares = Collect(stackalloc MemoryShare[BootBundle.MaximumGuests]);
        MemoryShares.Withdraw(shares);
        MemoryShares.Give(shares, MemoryShares.Spare(shares, FrameAllocator.FreeFrames, Kept));
        Apply(shares);
    }

    /// <summary>The guests that have domains, in their order.</summary>
    private static Span<MemoryShare> Collect(Span<MemoryShare> shares)
    {
        int count = 0;
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest?.Domain == null)
            {
                continue;
            }

            ref MemoryShare share = ref shares[count++];
            share = new MemoryShare { Owned = guest.Domain.FrameCount };
            if (guest.State == GuestState.Running)
            {
                // Who is paused cannot follow.
                share.Target = guest.Target;
                share.Floor = guest.IsPaused ? guest.Target : Math.Min(guest.Floor, guest.Target);
                share.Wish = Math.Max(guest.Wish, guest.Target);
            }
            else if (guest.State is GuestState.Preserved or GuestState.Starting)
            {
                share.Floor = share.Target = share.Wish = share.Owned;
            }
        }

        return shares.Slice(0, count);
    }

    private static int IndexOf(Guest wanted)
    {
        int index = 0;
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest == wanted)
            {
                break;
            }

            index += guest?.Domain == null ? 0 : 1;
        }

        return index;
    }

    /// <summary>
    /// Tells guests their targets; who has less than its target is told again, because its balloon driver may have given up for a while. While some
    /// have more than their targets, and others or L0 less than they are to have, the next frames that come are news.
    /// </summary>
    private static void Apply(ReadOnlySpan<MemoryShare> shares)
    {
        int index = 0;
        bool isLacking = false;
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest?.Domain == null)
            {
                continue;
            }

            ref readonly MemoryShare share = ref shares[index++];
            if (guest.State == GuestState.Running)
            {
                isLacking |= share.Owned < share.Wish;
                if (share.Target != guest.Target || share.Owned < share.Target)
                {
                    GuestControl.SetTarget(guest, share.Target);
                }
            }
        }

        ulong coming = MemoryShares.Coming(shares);
        if (s_waiting == null && coming != 0 && (isLacking || MachineBalloon.Missing != 0))
        {
            FrameAllocator.Await(FrameAllocator.FreeFrames + Math.Min(coming, GivenAtOnce), s_observer!);
        }
    }

    private sealed class FramesAreFree : FreeFramesObserver
    {
        public override void Reached()
        {
            Volatile.Write(ref s_isReached, 1);
            GuestManager.Wake();
        }
    }

    private sealed class PatienceTimer : Timer
    {
        public override void Expired() => GuestManager.Wake();
    }
}
