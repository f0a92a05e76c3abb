using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Starts the other CPUs, one after the other (Intel SDM vol. 3, 9.4.4.1).</summary>
public static class SecondaryCpus
{
    private const int RegionOrder = 3;
    private const ulong Microsecond = 1_000;
    private const ulong Millisecond = 1_000_000;

    // L0s deliver both interrupts at once; the waits that real processors need come into play when a CPU does not answer.
    private const ulong ShortWait = 20 * Millisecond;
    private const ulong LongWait = 200 * Millisecond;
    private const ulong InitDelay = 10 * Millisecond;
    private const ulong StartupDelay = 200 * Microsecond;

    private static SecondaryEntry? s_entry;
    private static ulong s_arrivalTsc;

    /// <summary>Starts every CPU that firmware reports. Memory, time, local APIC and interrupt vectors are up.</summary>
    /// <param name="entry">What a CPU runs when it is ready; not expected to return.</param>
    /// <returns>CPUs that are online now, this one included.</returns>
    public static int Start(SecondaryEntry entry)
    {
        if (Processors.Count == 1)
        {
            return 1;
        }

        if (Memory.TrampolineFrame == 0)
        {
            Log.Line("CPUs: no memory below 640 KiB to start them from"u8).End();
            return 1;
        }

        s_entry = entry;
        SecondaryStart.Install(Memory.TrampolineFrame, CreateArrival());
        for (int cpu = 1; cpu < Processors.Count; cpu++)
        {
            int number = Processors.OnlineCount;
            Processors.Exchange(number, cpu);
            StartOne(number);
        }

        SecondaryStart.Close();
        Log.Line("CPUs: "u8).Decimal((ulong)Processors.OnlineCount).Text(" of "u8).Decimal((ulong)Processors.Count).Text(" online"u8).End();
        return Processors.OnlineCount;
    }

    private static SecondaryEntry CreateArrival() => new Arrival();

    private static void StartOne(int cpu)
    {
        uint apicId = Processors.ApicId(cpu);
        if (apicId > byte.MaxValue && !LocalApic.IsX2Apic)
        {
            Log.Line("CPUs: local APIC id "u8).Decimal(apicId).Text(" needs x2APIC"u8).End();
            return;
        }

        if (!FrameAllocator.TryAllocate(RegionOrder, ulong.MaxValue, out ulong region))
        {
            Log.Line("CPUs: no memory for CPU "u8).Decimal((ulong)cpu).End();
            return;
        }

        for (ulong i = 0; i < 1UL << RegionOrder; i++)
        {
            PhysicalMemory.ZeroFrame(region + i);
        }

        ulong before = Cpu.ReadTsc();
        SecondaryStart.Prepare(region << Cpu.PageShift, apicId, cpu);
        if (TryWake(cpu, apicId))
        {
            CheckTsc(cpu, before, Cpu.ReadTsc());
            return;
        }

        // Its region stays: nobody knows whether it will wake up some day.
        Log.Line("CPUs: CPU "u8).Decimal((ulong)cpu).Text(" (local APIC id "u8).Decimal(apicId).Text(") does not start"u8).End();
    }

    private static bool TryWake(int cpu, uint apicId)
    {
        byte frame = (byte)Memory.TrampolineFrame;
        LocalApic.SendInit(apicId);
        LocalApic.SendStartup(apicId, frame);
        if (WaitOnline(cpu, ShortWait))
        {
            return true;
        }

        LocalApic.SendInit(apicId);
        WaitOnline(cpu, InitDelay);
        LocalApic.SendStartup(apicId, frame);
        if (WaitOnline(cpu, StartupDelay))
        {
            return true;
        }

        LocalApic.SendStartup(apicId, frame);
        return WaitOnline(cpu, LongWait);
    }

    private static bool WaitOnline(int cpu, ulong nanoseconds)
    {
        ulong end = SystemTime.Now + nanoseconds;
        while (!Processors.IsOnline(cpu))
        {
            if (SystemTime.Now >= end)
            {
                return Processors.IsOnline(cpu);
            }

            Cpu.Pause();
        }

        return true;
    }

    // All clocks are read from whatever CPU's TSC: they must agree.
    private static void CheckTsc(int cpu, ulong before, ulong after)
    {
        ulong arrival = System.Threading.Volatile.Read(ref s_arrivalTsc);
        if (arrival < before || arrival > after)
        {
            Log.Line("CPUs: the TSC of CPU "u8).Decimal((ulong)cpu).Text(" does not agree with CPU 0's"u8).End();
        }
    }

    private sealed class Arrival : SecondaryEntry
    {
        public override void Run(int cpu)
        {
            LocalApic.InitializeThisCpu();
            TimerDevice.InitializeThisCpu();
            System.Threading.Volatile.Write(ref s_arrivalTsc, Cpu.ReadTsc());
            Processors.SetOnline(cpu);
            s_entry!.Run(cpu);
            Cpu.Stop();
        }
    }
}
