using Blanket.Machine;

namespace Blanket.Kernel.Platform.Time;

/// <summary>
/// KVM's paravirtual clock (Linux, Documentation/virt/kvm/x86/msr.rst), asked once: for the frequency of the TSC, which KVM
/// knows exactly, and for the wall clock.
/// </summary>
internal static class KvmClock
{
    private const uint FeatureLeafOffset = 1;
    private const uint HasNewMsrs = 1 << 3;
    private const uint WallClockMsr = 0x4b564d00, SystemTimeMsr = 0x4b564d01;
    private const uint EnableBit = 1;
    private const int Attempts = 1000;
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    // struct pvclock_vcpu_time_info and, in the frame's second half, struct pvclock_wall_clock.
    private const ulong SystemTimeOffset = 16, MultiplierOffset = 24, ShiftOffset = 28;
    private const ulong WallClockArea = 2048, SecondsOffset = 4, NanosecondsOffset = 8;

    /// <summary>Whether L0 is KVM and offers the clock.</summary>
    internal static bool Exists
    {
        get
        {
            if (L0.Kind != L0Kind.Kvm)
            {
                return false;
            }

            Cpu.Cpuid(L0.BaseLeaf + FeatureLeafOffset, 0, out uint features, out _, out _, out _);
            return (features & HasNewMsrs) != 0;
        }
    }

    /// <summary>Asks the clock.</summary>
    /// <param name="kilohertz">TSC frequency.</param>
    /// <param name="wallClock">Wall-clock time now, in ns since 1970-01-01 UTC.</param>
    /// <returns>False when KVM did not answer.</returns>
    internal static bool TryRead(out ulong kilohertz, out ulong wallClock)
    {
        kilohertz = 0;
        wallClock = 0;
        if (!FrameAllocator.TryAllocateZeroed(out ulong frame))
        {
            return false;
        }

        ulong area = frame << Cpu.PageShift;
        Cpu.WriteMsr(WallClockMsr, area + WallClockArea);
        Cpu.WriteMsr(SystemTimeMsr, area | EnableBit);
        bool answered = TryTake(area, out ulong systemTime, out kilohertz)
            && TryTakeWallClock(area + WallClockArea, systemTime, out wallClock);

        // KVM writes to the frame until it is told not to.
        Cpu.WriteMsr(SystemTimeMsr, 0);
        PhysicalMemory.ZeroFrame(frame);
        FrameAllocator.Free(frame);
        return answered;
    }

    private static bool TryTake(ulong area, out ulong systemTime, out ulong kilohertz)
    {
        systemTime = 0;
        kilohertz = 0;
        for (int i = 0; i < Attempts; i++)
        {
            uint version = PhysicalMemory.Read<uint>(area);
            Cpu.Fence();
            systemTime = PhysicalMemory.Read<ulong>(area + SystemTimeOffset);
            uint multiplier = PhysicalMemory.Read<uint>(area + MultiplierOffset);
            sbyte shift = PhysicalMemory.Read<sbyte>(area + ShiftOffset);
            Cpu.Fence();
            if (version != 0 && (version & 1) == 0 && PhysicalMemory.Read<uint>(area) == version)
            {
                return TryGetKilohertz(multiplier, shift, out kilohertz);
            }
        }

        return false;
    }

    /// <summary>The frequency behind a scale: ns = (ticks shifted) * multiplier / 2^32.</summary>
    /// <returns>False when the scale makes no sense.</returns>
    internal static bool TryGetKilohertz(uint multiplier, sbyte shift, out ulong kilohertz)
    {
        kilohertz = 0;
        if (multiplier == 0 || shift is < -20 or > 20)
        {
            return false;
        }

        ulong shifted = (1_000_000UL << 32) / multiplier;
        if (shift < 0)
        {
            if (shifted > ulong.MaxValue >> -shift)
            {
                return false;
            }

            kilohertz = shifted << -shift;
        }
        else
        {
            kilohertz = shifted >> shift;
        }

        return kilohertz != 0;
    }

    private static bool TryTakeWallClock(ulong area, ulong systemTime, out ulong wallClock)
    {
        wallClock = 0;
        for (int i = 0; i < Attempts; i++)
        {
            uint version = PhysicalMemory.Read<uint>(area);
            Cpu.Fence();
            uint seconds = PhysicalMemory.Read<uint>(area + SecondsOffset);
            uint nanoseconds = PhysicalMemory.Read<uint>(area + NanosecondsOffset);
            Cpu.Fence();
            if (version != 0 && (version & 1) == 0 && PhysicalMemory.Read<uint>(area) == version)
            {
                // The wall clock is that of KVM's time 0.
                wallClock = seconds * NanosecondsPerSecond + nanoseconds + systemTime;
                return true;
            }
        }

        return false;
    }
}
