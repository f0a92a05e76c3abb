using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Machine;

namespace Blanket.Core.Time;

/// <summary>The paravirtual clock of guests: struct vcpu_time_info in vcpu_info, wall clock in shared_info (xen/include/public/xen.h).</summary>
public static class VcpuTime
{
    /// <summary>Offset of vcpu_time_info in vcpu_info.</summary>
    private const ulong TimeInfoOffset = 32;

    /// <summary>Publishes the scale for a vCPU. All TSCs are synchronous and the scale never changes, so once a location is enough.</summary>
    public static void Update(Vcpu vcpu)
    {
        ulong address = vcpu.Info.Address + TimeInfoOffset;
        VcpuTimeInfo info = Current(unchecked(PhysicalMemory.Read<uint>(address) + 1) | 1);

        // Odd while it changes, even when done.
        PhysicalMemory.Write(address, info.Version);
        Cpu.Fence();
        PhysicalMemory.At<VcpuTimeInfo>(address) = info;
        Cpu.Fence();
        PhysicalMemory.Write(address, unchecked(info.Version + 1));
    }

    /// <summary>VCPUOP_register_vcpu_time_memory_area: a copy for the guest's user mode (vDSO).</summary>
    public static long RegisterSecondaryArea(Vcpu caller, Vcpu target, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out ulong area))
        {
            return -Errno.EFAULT;
        }

        target.Schedule.TimeArea = area;
        if (area == 0)
        {
            return 0;
        }

        VcpuTimeInfo info = Current(2);
        return GuestMemory.TryWrite(area, in info) ? 0 : -Errno.EFAULT;
    }

    /// <summary>Wall-clock time at system time 0, for the guest's shared_info at a physical address.</summary>
    public static void WriteWallClock(ulong sharedInfo)
    {
        const ulong NanosecondsPerSecond = 1_000_000_000;
        ulong wall = SystemTime.WallClockBase;
        uint version = unchecked(PhysicalMemory.Read<uint>(sharedInfo + SharedInfo.WallClockVersionOffset) + 1) | 1;
        PhysicalMemory.Write(sharedInfo + SharedInfo.WallClockVersionOffset, version);
        Cpu.Fence();
        ulong seconds = wall / NanosecondsPerSecond;
        PhysicalMemory.Write(sharedInfo + SharedInfo.WallClockSecondsOffset, (uint)seconds);
        PhysicalMemory.Write(sharedInfo + SharedInfo.WallClockSecondsHighOffset, (uint)(seconds >> 32));
        PhysicalMemory.Write(sharedInfo + SharedInfo.WallClockNanosecondsOffset, (uint)(wall % NanosecondsPerSecond));
        Cpu.Fence();
        PhysicalMemory.Write(sharedInfo + SharedInfo.WallClockVersionOffset, unchecked(version + 1));
    }

    private static VcpuTimeInfo Current(uint version)
    {
        VcpuTimeInfo info = default;
        info.Version = version;
        info.TscTimestamp = Cpu.ReadTsc();
        info.SystemTime = SystemTime.FromTsc(info.TscTimestamp);
        info.TscToSystemMultiplier = SystemTime.TscToSystemMul;
        info.TscShift = SystemTime.TscShift;
        info.Flags = VcpuTimeInfo.TscStable;
        return info;
    }
}
