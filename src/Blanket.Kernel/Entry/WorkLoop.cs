using System.Runtime;
using System.Threading;
using Blanket.Backends;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Scheduling;
using Blanket.Core.Time;
using Blanket.Core.Traps;
using Blanket.Kernel.Guests;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>
/// What a CPU does between guests: interrupts that arrived, services' work, timers, scheduling; and it waits here while no vCPU
/// has anything to do. The exit path calls it whenever work is pending, and goes on with the vCPU it chose.
/// </summary>
internal static unsafe class WorkLoop
{
    [RuntimeExport("pending_work")]
    private static void Run()
    {
        CpuBlock* block = CpuBlockAccess.Current;
        int cpu = block->CpuNumber;
        RunQueue queue = Scheduler.Queue(cpu);
        TimerQueue timers = Scheduler.Timers(cpu);
        while (true)
        {
            CpuRequests.BeginWork();
            Volatile.Write(ref block->WorkPending, 0);
            bool wasFlushed = DispatchInterrupts(block) | CpuRequests.Service();
            CpuParking.ParkIfWanted();
            if (GracePeriod.Pass())
            {
                GuestManager.GracePeriodMayBeOver();
            }

            ServiceChannels.RunPending();
            StoreService.Process();
            BackendService.Process();
            if (cpu == GuestManager.Cpu)
            {
                GuestManager.HandleStopped();
            }

            bool isNow = ReadTime(queue, cpu, timers, out ulong now);
            timers.RunExpired(now);
            bool isNew = Schedule(queue, cpu, now);
            if (Volatile.Read(ref block->WorkPending) != 0)
            {
                continue;
            }

            ulong turnDue = BackendService.Bus.TurnDue;
            if (cpu == GuestManager.Cpu && GuestManager.LongWork.MayBegin(now, isIdle: block->CurrentVcpu == null && turnDue == BackendBus.Never))
            {
                // The timer ends it: long work looks for pending work all the time.
                ArmTimer(queue, cpu, timers, now + LongWork.Turn, now, isNow);
                GuestManager.TakeTurn();
                continue;
            }

            if (turnDue != BackendBus.Never && (!isNew || now >= turnDue))
            {
                // Before that a vCPU that was just chosen goes first: what was put off may be a flood of its neighbour's.
                BackendService.Bus.TakeTurn();
                continue;
            }

            ArmTimer(queue, cpu, timers, cpu == GuestManager.Cpu ? System.Math.Min(turnDue, GuestManager.LongWork.Due) : turnDue, now, isNow);
            if (block->CurrentVcpu != null)
            {
                return;
            }

            if (VcpuSwitch.LeaveWhileIdle(wasFlushed))
            {
                continue;
            }

            L0Counters.Count(L0Request.Wait);
            Cpu.WaitForInterrupt();
            CpuTime.EndWait();
        }
    }

    /// <summary>
    /// Says what time it is, as far as it matters: while a vCPU keeps the CPU, and the timer is set and has not fired, nothing has become due since the
    /// time was last read. Where L0 emulates the TSC, each reading is an exit to it.
    /// </summary>
    /// <returns>Whether it was read; otherwise it is that of an earlier call.</returns>
    private static bool ReadTime(RunQueue queue, int cpu, TimerQueue timers, out ulong now)
    {
        now = CpuTime.Last;
        if (TimerDevice.IsSet && queue.Current(cpu) != null && !queue.MustChoose(cpu, now) && timers.NextDeadline > now
            && BackendService.Bus.TurnDue == BackendBus.Never && (cpu != GuestManager.Cpu || GuestManager.LongWork.Due == ulong.MaxValue))
        {
            return false;
        }

        now = CpuTime.Read();
        return true;
    }

    /// <summary>Handles the vectors that were noted.</summary>
    /// <returns>Whether another CPU has asked for a TLB flush by one of them.</returns>
    private static bool DispatchInterrupts(CpuBlock* block)
    {
        const int FlushWord = SystemVectors.Flush >> 6;
        bool flush = (block->PendingVectors[FlushWord] >> (SystemVectors.Flush & 63) & 1) != 0;

        // Highest first: the order in which the local APIC expects its acknowledgements.
        for (int word = 3; word >= 0; word--)
        {
            while (block->PendingVectors[word] != 0)
            {
                int bit = System.Numerics.BitOperations.Log2(block->PendingVectors[word]);
                block->PendingVectors[word] &= ~(1UL << bit);
                InterruptVectors.Dispatch((byte)(word * 64 + bit));
            }
        }

        return flush;
    }

    /// <summary>Gives the CPU to whom it belongs now.</summary>
    /// <returns>Whether that is a vCPU that did not have it before.</returns>
    private static bool Schedule(RunQueue queue, int cpu, ulong now)
    {
        Vcpu? previous = queue.Current(cpu);
        Vcpu? next = previous == null || queue.MustChoose(cpu, now) ? Scheduler.Choose(now) : previous;
        if (next != previous || CpuBlockAccess.Current->CurrentVcpu == null)
        {
            VcpuSwitch.To(next);
        }

        if (next != null && next.Schedule.IsNmiPending)
        {
            next.Schedule.IsNmiPending = false;
            TrapDelivery.Enter(next, next.State.NmiCallback, masksEvents: false);
        }

        return next != null && next != previous;
    }

    private static void ArmTimer(RunQueue queue, int cpu, TimerQueue timers, ulong turnDue, ulong now, bool isNow)
    {
        ulong deadline = System.Math.Min(timers.NextDeadline, System.Math.Min(queue.SliceEnd(cpu), StoreService.NextDeadline));
        deadline = System.Math.Min(deadline, turnDue);
        if (TimerDevice.MustSet(deadline, now))
        {
            TimerDevice.Set(deadline, isNow ? now : SystemTime.Now);
        }
    }
}
