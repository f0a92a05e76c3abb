using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Xen;

/// <summary>Xen's paravirtual clock (struct vcpu_time_info and wc_* of struct shared_info): asked at boot and after a restore.</summary>
internal static class XenClock
{
    private const int Attempts = 1000;
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    /// <summary>Asks the clock.</summary>
    /// <param name="sharedInfo">Physical address of the shared info page.</param>
    /// <param name="vcpuInfo">Physical address of this CPU's struct vcpu_info.</param>
    /// <param name="kilohertz">Frequency of the TSC.</param>
    /// <param name="wallClock">Now, in ns since 1970-01-01 UTC.</param>
    /// <returns>False when Xen does not fill the clock in.</returns>
    internal static bool TryRead(ulong sharedInfo, ulong vcpuInfo, out ulong kilohertz, out ulong wallClock)
    {
        kilohertz = 0;
        wallClock = 0;
        if (!TryReadTime(vcpuInfo + VcpuInfo.TimeOffset, out VcpuTimeInfo time) || !TryReadWallClock(sharedInfo, out ulong atBoot))
        {
            return false;
        }

        kilohertz = Kilohertz(in time);
        wallClock = atBoot + Now(in time);
        return kilohertz != 0;
    }

    /// <summary>Frequency of the TSC that a scale stands for; 0 for a scale that cannot be.</summary>
    internal static ulong Kilohertz(in VcpuTimeInfo time)
    {
        if (time.TscToSystemMultiplier == 0 || time.TscShift is < -31 or > 31)
        {
            return 0;
        }

        ulong ticks = (1_000_000UL << 32) / time.TscToSystemMultiplier;
        return time.TscShift >= 0 ? ticks >> time.TscShift : ticks << -time.TscShift;
    }

    private static ulong Now(in VcpuTimeInfo time)
    {
        ulong tsc = Cpu.ReadTsc();
        ulong delta = tsc > time.TscTimestamp ? tsc - time.TscTimestamp : 0;
        delta = time.TscShift >= 0 ? delta << time.TscShift : delta >> -time.TscShift;
        ulong high = System.Math.BigMul(delta, time.TscToSystemMultiplier, out ulong low);
        return time.SystemTime + ((high << 32) | (low >> 32));
    }

    private static bool TryReadTime(ulong address, out VcpuTimeInfo time)
    {
        for (int i = 0; i < Attempts; i++)
        {
            time = PhysicalMemory.Read<VcpuTimeInfo>(address);
            if ((time.Version & 1) == 0 && time.Version != 0 && PhysicalMemory.Read<uint>(address) == time.Version)
            {
                return true;
            }

            Cpu.Pause();
        }

        time = default;
        return false;
    }

    private static bool TryReadWallClock(ulong sharedInfo, out ulong nanoseconds)
    {
        nanoseconds = 0;
        for (int i = 0; i < Attempts; i++)
        {
            uint version = PhysicalMemory.Read<uint>(sharedInfo + SharedInfo.WallClockVersionOffset);
            uint low = PhysicalMemory.Read<uint>(sharedInfo + SharedInfo.WallClockSecondsOffset);
            uint high = PhysicalMemory.Read<uint>(sharedInfo + SharedInfo.WallClockSecondsHighOffset);
            uint rest = PhysicalMemory.Read<uint>(sharedInfo + SharedInfo.WallClockNanosecondsOffset);
            if ((version & 1) == 0 && PhysicalMemory.Read<uint>(sharedInfo + SharedInfo.WallClockVersionOffset) == version)
            {
                ulong seconds = ((ulong)high << 32) | low;
                nanoseconds = unchecked(seconds * NanosecondsPerSecond + rest);
                return seconds != 0 && seconds < ulong.MaxValue / NanosecondsPerSecond / 2;
            }

            Cpu.Pause();
        }

        return false;
    }
}
