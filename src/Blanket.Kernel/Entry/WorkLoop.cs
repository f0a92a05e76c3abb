using System.Runtime;
using System.Threading;
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
            Volatile.Write(ref block->WorkPending, 0);
            DispatchInterrupts(block);
            CpuRequests.Service();
            ServiceChannels.RunPending();
            StoreService.Process();
            BackendService.Process();
            ulong now = SystemTime.Now;
            timers.RunExpired(now);
            GuestManager.HandleStopped();
            Schedule(queue, now);
            if (Volatile.Read(ref block->WorkPending) != 0)
            {
                continue;
            }

            ArmTimer(queue, timers);
            if (block->CurrentVcpu != null)
            {
                return;
            }

            Cpu.WaitForInterrupt();
        }
    }

    private static void DispatchInterrupts(CpuBlock* block)
    {
        // Highest first: the order in which the local APIC expects its acknowledgements.
        for (int word = 3; word >= 0; word--)
        {
            ulong pending = block->PendingVectors[word];
            block->PendingVectors[word] = 0;
            while (pending != 0)
            {
                int bit = System.Numerics.BitOperations.Log2(pending);
                pending &= ~(1UL << bit);
                InterruptVectors.Dispatch((byte)(word * 64 + bit));
            }
        }
    }

    private static void Schedule(RunQueue queue, ulong now)
    {
        queue.Tick(now);
        if (!queue.MustChoose)
        {
            return;
        }

        Vcpu? previous = queue.Current;
        Vcpu? next = queue.Choose(now);
        if (next != previous || next == null)
        {
            VcpuSwitch.To(next);
        }

        if (next != null && next.Schedule.IsNmiPending)
        {
            next.Schedule.IsNmiPending = false;
            TrapDelivery.Enter(next, next.State.NmiCallback, masksEvents: false);
        }
    }

    private static void ArmTimer(RunQueue queue, TimerQueue timers)
    {
        ulong deadline = System.Math.Min(timers.NextDeadline, System.Math.Min(queue.SliceEnd, StoreService.NextDeadline));
        TimerDevice.Arm(deadline);
    }
}
