using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Drivers.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Guests;

/// <summary>
/// The machine's memory as L0's toolstack wants it (memory/target against memory/static-max in the domain's own directory, KiB;
/// xen/docs/misc/xenstore-paths): free frames go back to Xen, and their places are filled again when it wants more. Guests keep what they
/// have, and the hypervisor keeps <see cref="FrameAllocator.Reserve"/>; a target below that is met as memory becomes free.
/// </summary>
internal sealed class MachineBalloon : StoreWatch
{
    private const int KiBPerFrame = Cpu.PageSize / 1024;

    // Frames a step: other work gets its turn in between.
    private const int Step = Cpu.PageSize / sizeof(ulong);

    // How long to wait when no frame is free, or Xen has none, ns.
    private const ulong RetryInterval = 1_000_000_000;

    private static XenHypercalls? s_xen;
    private static RetryTimer? s_timer;
    private static ulong s_list;
    private static ulong s_wanted;
    private static ulong s_count;
    private static uint s_frames = FrameInfo.None;

    // What was logged last: what L0 wanted, and whether it had it.
    private static ulong s_reportedWish;
    private static bool s_isReportedMet = true;

    private readonly XenbusStore _store;
    private readonly Limit _limit;
    private readonly Target _target;

    private MachineBalloon(XenbusStore store)
    {
        _store = store;
        _target = new Target();
        _limit = new Limit(this);
    }

    /// <summary>Frames that Xen has back.</summary>
    internal static ulong Count => s_count;

    /// <summary>Frames that Xen wants back and has not got yet.</summary>
    internal static ulong Missing
    {
        get
        {
            ulong wanted = Volatile.Read(ref s_wanted);
            return s_xen != null && wanted > s_count ? wanted - s_count : 0;
        }
    }

    /// <summary>Follows the target; once at boot, in an allocation scope.</summary>
    internal static void Create(XenTransport xen)
    {
        MachineBalloon balloon = new(xen.Store);
        s_timer = new RetryTimer();
        if (!FrameAllocator.TryAllocate(out ulong list) || !xen.Store.TryWatch("memory/target"u8, balloon))
        {
            Log.Line("xen: memory/target cannot be watched"u8).End();
            return;
        }

        s_list = list << Cpu.PageShift;
        s_xen = xen.Hypercalls;
    }

    /// <summary>Goes a step towards the target; on the guests' CPU.</summary>
    internal static void Process()
    {
        ulong wanted = Volatile.Read(ref s_wanted);
        if (s_xen == null || s_count == wanted)
        {
            Report(wanted);
            return;
        }

        int moved = s_count < wanted ? Inflate(wanted - s_count) : Deflate(s_count - wanted);
        if (moved != 0)
        {
            GuestManager.Wake();
        }
        else
        {
            Report(wanted);
            MemoryBalancer.MakeRoomForL0();
            Scheduler.Arm(s_timer!, SystemTime.Now + RetryInterval);
        }
    }

    /// <inheritdoc/>
    public override void Fired() => _store.TryRead(0, "memory/static-max"u8, _limit);

    private static int Inflate(ulong frames)
    {
        Span<ulong> list = PhysicalMemory.FrameAs<ulong>(s_list >> Cpu.PageShift);
        int count = 0;
        while (count < Step && (ulong)count < frames && FrameAllocator.FreeFrames > FrameAllocator.Reserve + FrameAllocator.ClaimedFrames && FrameAllocator.TryWithdraw(out ulong frame))
        {
            list[count++] = frame;
        }

        int done = count == 0 ? 0 : s_xen!.ChangeMemory(MemoryCommand.DecreaseReservation, s_list, count);
        for (int i = 0; i < count; i++)
        {
            if (i < done)
            {
                Push((uint)list[i]);
            }
            else
            {
                FrameAllocator.AddRange(list[i], 1);
            }
        }

        return done;
    }

    private static int Deflate(ulong frames)
    {
        Span<ulong> list = PhysicalMemory.FrameAs<ulong>(s_list >> Cpu.PageShift);
        int count = (int)Math.Min(frames, Step);
        for (int i = 0; i < count; i++)
        {
            list[i] = Pop();
        }

        int done = s_xen!.ChangeMemory(MemoryCommand.PopulatePhysmap, s_list, count);
        for (int i = 0; i < count; i++)
        {
            if (i < done)
            {
                FrameAllocator.AddRange(list[i], 1);
            }
            else
            {
                Push((uint)list[i]);
            }
        }

        return done;
    }

    private static void Push(uint frame)
    {
        FrameTable.Of(frame).Next = s_frames;
        s_frames = frame;
        s_count++;
    }

    private static uint Pop()
    {
        uint frame = s_frames;
        s_frames = FrameTable.Of(frame).Next;
        s_count--;
        return frame;
    }

    private static void Report(ulong wanted)
    {
        bool isMet = s_count == wanted;
        if (wanted == s_reportedWish && isMet == s_isReportedMet)
        {
            return;
        }

        s_reportedWish = wanted;
        s_isReportedMet = isMet;
        Log.Line("xen: L0 has "u8).Decimal(s_count * KiBPerFrame).Text(" KiB of the machine's memory back, wants "u8)
            .Decimal(wanted * KiBPerFrame).End();
        if (isMet)
        {
            MemoryBalancer.Balance();
        }
    }

    private sealed class RetryTimer : Timer
    {
        public override void Expired() => GuestManager.Wake();
    }

    /// <summary>memory/static-max: what the domain has at most.</summary>
    private sealed class Limit(MachineBalloon balloon) : StoreReply
    {
        public override void Completed(XenStoreError error, ReadOnlySpan<byte> value)
        {
            if (error == XenStoreError.None && DecimalNumber.TryParse(value, long.MaxValue, out ulong limit))
            {
                balloon._target.LimitKiB = limit;
                balloon._store.TryRead(0, "memory/target"u8, balloon._target);
            }
        }
    }

    /// <summary>memory/target: what it is to have.</summary>
    private sealed class Target : StoreReply
    {
        internal ulong LimitKiB;

        public override void Completed(XenStoreError error, ReadOnlySpan<byte> value)
        {
            if (error == XenStoreError.None && DecimalNumber.TryParse(value, long.MaxValue, out ulong target))
            {
                Volatile.Write(ref s_wanted, LimitKiB > target ? (LimitKiB - target) / KiBPerFrame : 0);
                GuestManager.Wake();
            }
        }
    }
}
