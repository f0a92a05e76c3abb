using System;
using Blanket.Abi;
using Blanket.Core.Domains;
using Blanket.Core.Scheduling;
using Blanket.Kernel.Entry;
using Blanket.Kernel.Guests;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Services;
using Blanket.Machine;

namespace Blanket.Kernel.Management;

/// <summary>What a key shows in the log, as Xen's debug keys do.</summary>
internal static class DebugKeys
{
    /// <summary>The key that lists the keys.</summary>
    internal const byte Help = (byte)'h';

    private static ReadOnlySpan<byte> Known => "hqrcemtgxa"u8;

    /// <summary>Whether a key shows anything.</summary>
    internal static bool IsKnown(byte key) => Known.IndexOf(key) >= 0;

    /// <summary>Logs what a key is for.</summary>
    internal static void Show(byte key)
    {
        switch (key)
        {
            case (byte)'q':
                ShowGuests();
                break;
            case (byte)'r':
                ShowVcpus();
                break;
            case (byte)'c':
                ShowCpus();
                break;
            case (byte)'e':
                ShowEvents();
                break;
            case (byte)'g':
                ShowGrants();
                break;
            case (byte)'a':
                Recount.Report();
                break;
            case (byte)'m':
                Audit.Report();
                break;
            case (byte)'t':
                Log.Line("time "u8).Decimal(SystemTime.Now).Text(" ns since the start, CPUs "u8).Decimal((uint)Processors.OnlineCount).End();
                break;
            case (byte)'x':
                ExitCounters.LogAll();
                break;
            default:
                Log.Line("keys: q guests, r vCPUs and where they run, c CPUs and what they wait for, e event channels, g grants, m memory and what else is in use, t time, x exits, a recount of all references, h this"u8).End();
                break;
        }
    }

    private static void ShowGuests()
    {
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest == null || guest.Domain == null)
            {
                continue;
            }

            GuestControl.Describe(guest, out ManagementGuest record);
            Begin(guest).Text(" state "u8).Decimal((uint)record.State).Text(" memory "u8).Decimal(record.MemoryKiB).Text(" of "u8)
                .Decimal(record.MaximumKiB).Text(" KiB, target "u8).Decimal(record.TargetKiB).Text(", vCPUs "u8).Decimal(record.OnlineVcpus)
                .Text(" of "u8).Decimal(record.Vcpus).Text(", ran ms "u8).Decimal(record.CpuTime / 1_000_000).Text(", devices "u8)
                .Decimal((uint)guest.Devices.Count).End();
        }
    }

    private static void ShowVcpus()
    {
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest == null || guest.Domain == null)
            {
                continue;
            }

            foreach (Vcpu? vcpu in guest.Domain.Vcpus)
            {
                if (vcpu == null)
                {
                    continue;
                }

                RunQueue.ReadTimes(vcpu, out Abi.Xen.VcpuRunStateInfo times);
                Begin(guest).Text(" vCPU "u8).Decimal((uint)vcpu.Id).Text(" on CPU "u8).Signed(vcpu.Schedule.RunningOn)
                    .Text(" of "u8).Hex(vcpu.Schedule.Affinity.High).Text(" "u8).Hex(vcpu.Schedule.Affinity.Low).Text(" state "u8)
                    .Decimal((uint)times.State).Text(" ms: running "u8).Decimal(times.TimeRunning / 1_000_000).Text(" runnable "u8)
                    .Decimal(times.TimeRunnable / 1_000_000).Text(" blocked "u8).Decimal(times.TimeBlocked / 1_000_000)
                    .Text(" offline "u8).Decimal(times.TimeOffline / 1_000_000).End();
                ShowWaiting(guest, vcpu);
            }
        }
    }

    // Why a vCPU does not run, and what would wake it. Read without locks.
    private static void ShowWaiting(Guest guest, Vcpu vcpu)
    {
        VcpuSchedule schedule = vcpu.Schedule;
        Begin(guest).Text(" vCPU "u8).Decimal((uint)vcpu.Id).Text(schedule.IsDown ? " down"u8 : " up"u8)
            .Text(schedule.IsBlocked ? ", blocked"u8 : ""u8).Text(schedule.IsWaiting ? ", waits for a CPU"u8 : ""u8)
            .Text(" held by CPU "u8).Signed(schedule.Holder).Text(" pauses "u8).Decimal((uint)schedule.PauseCount)
            .Text(" polls "u8).Decimal(schedule.PolledPort).Text(vcpu.State.IsUpcallPending ? " event pending"u8 : " no event"u8)
            .Text(vcpu.State.UpcallMask != 0 ? ", masked"u8 : ", unmasked"u8).Text(" timer in us "u8)
            .Signed(vcpu.SingleshotTimer.IsArmed ? ((long)vcpu.SingleshotTimer.Deadline - (long)SystemTime.Now) / 1000 : -1)
            .Text(" rip "u8).Hex(vcpu.State.Registers.Rip).End();
    }

    private static void ShowCpus()
    {
        CpuRequests.LogAll();
        ulong now = SystemTime.Now;
        for (int cpu = 0; cpu < Scheduler.CpuCount; cpu++)
        {
            RunQueue queue = Scheduler.Queue(cpu);
            Log.Line("CPU "u8).Decimal((uint)cpu).Text(" next timer in us "u8).Signed(Until(Scheduler.Timers(cpu).NextDeadline, now))
                .Text(" end of slice in us "u8).Signed(Until(queue.SliceEnd(cpu), now)).Text(" vCPUs that wait "u8).Decimal((uint)queue.Waiting).End();
        }
    }

    // -1 for never.
    private static long Until(ulong time, ulong now) => time == ulong.MaxValue ? -1 : ((long)time - (long)now) / 1000;

    private static void ShowEvents()
    {
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest != null && guest.Domain != null && guest.Domain.Events != null)
            {
                Begin(guest).Text(" event channels "u8).Decimal((uint)guest.Domain.Events.ActivePorts)
                    .Text(guest.Domain.Events.IsFifo ? " (FIFO)"u8 : " (2-level)"u8).Text(" frames "u8).Decimal((uint)guest.Domain.Events.Frames).End();
            }
        }
    }

    private static void ShowGrants()
    {
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest != null && guest.Domain != null && guest.Domain.Grants != null)
            {
                Begin(guest).Text(" grants in use "u8).Decimal((uint)guest.Domain.Grants.EntriesInUse).Text(" version "u8)
                    .Decimal((uint)guest.Domain.Grants.Version).Text(" frames "u8).Decimal((uint)guest.Domain.Grants.FrameCount).End();
            }
        }
    }

    private static LogLine Begin(Guest guest)
    {
        LogLine line = Log.Line("domain "u8);
        line.Decimal(guest.Domain!.Id).Text(" "u8).Quoted(guest.Name);
        return line;
    }
}
