using System;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Kernel.Platform.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Time;

/// <summary>Finds out how fast the TSC runs and what time it is: from L0 where it says so, else by measuring.</summary>
internal static class TimeSetup
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const uint HypervFrequencyMsr = 0x40000022;

    /// <summary>Sets <see cref="SystemTime"/>; once, on the boot CPU, in an allocation scope.</summary>
    /// <param name="bootTsc">TSC at the hypervisor's entry, which becomes time 0.</param>
    /// <returns>False when the frequency cannot be found out.</returns>
    internal static bool TryInitialize(ulong bootTsc)
    {
        if (KvmClock.Exists && KvmClock.TryRead(out ulong kilohertz, out ulong wallClock))
        {
            SystemTime.Initialize(kilohertz, bootTsc);
            SystemTime.WallClockBase = wallClock - SystemTime.Now;
            LogFrequency("KVM's clock"u8, kilohertz);
            return true;
        }

        if (XenPlatform.TryReadClock(out kilohertz, out wallClock))
        {
            SystemTime.Initialize(kilohertz, bootTsc);
            SystemTime.WallClockBase = wallClock - SystemTime.Now;
            LogFrequency("Xen's clock"u8, kilohertz);
            return true;
        }

        if (!TryFindFrequency(out kilohertz))
        {
            Log.Line("time: the TSC's frequency cannot be found out"u8).End();
            return false;
        }

        SystemTime.Initialize(kilohertz, bootTsc);
        if (RealTimeClock.TryRead(AcpiInformation.Fadt.CenturyRegister, out ulong seconds))
        {
            SystemTime.WallClockBase = seconds * NanosecondsPerSecond - SystemTime.Now;
        }
        else
        {
            Log.Line("time: no wall clock; it starts at 1970"u8).End();
        }

        return true;
    }

    private static bool TryFindFrequency(out ulong kilohertz)
    {
        if (L0.TryGetTscKilohertz(out uint stated))
        {
            kilohertz = stated;
            return LogFrequency("L0's CPUID"u8, kilohertz);
        }

        if (TryAskXen(out kilohertz) || TryAskHyperv(out kilohertz))
        {
            return LogFrequency(L0.Name, kilohertz);
        }

        if (TryAskCpu(out kilohertz))
        {
            return LogFrequency("CPUID"u8, kilohertz);
        }

        return (TryMeasure(HpetCounter.Create(AcpiInformation.Hpet), out kilohertz) && LogFrequency("the HPET"u8, kilohertz))
            || (TryMeasure(PowerManagementCounter.Create(in AcpiInformation.Fadt), out kilohertz)
                && LogFrequency("the ACPI timer"u8, kilohertz))
            || (TryMeasure(IntervalTimerCounter.CreateStarted(), out kilohertz) && LogFrequency("the interval timer"u8, kilohertz));
    }

    private static bool LogFrequency(ReadOnlySpan<byte> source, ulong kilohertz)
    {
        Log.Line("time: TSC at "u8).Decimal(kilohertz).Text(" kHz, by "u8).Text(source).End();
        return true;
    }

    private static bool TryMeasure(ReferenceCounter? counter, out ulong kilohertz)
    {
        kilohertz = 0;
        return counter != null && TscCalibration.TryMeasure(counter, out kilohertz);
    }

    // xen/include/public/arch-x86/cpuid.h, leaf 4 (base + 3), subleaf 0: ecx is the frequency in kHz.
    private static bool TryAskXen(out ulong kilohertz)
    {
        kilohertz = 0;
        if (L0.Kind != L0Kind.Xen)
        {
            return false;
        }

        Cpu.Cpuid(L0.BaseLeaf, 0, out uint lastLeaf, out _, out _, out _);
        if (lastLeaf >= L0.BaseLeaf + 3)
        {
            Cpu.Cpuid(L0.BaseLeaf + 3, 0, out _, out _, out uint ecx, out _);
            kilohertz = ecx;
        }

        return kilohertz != 0;
    }

    // Hyper-V TLFS, 2.4 (leaf 0x40000003: eax bit 11 AccessFrequencyMsrs, edx bit 8) and 12.6.
    private static bool TryAskHyperv(out ulong kilohertz)
    {
        kilohertz = 0;
        if (L0.Kind != L0Kind.HyperV)
        {
            return false;
        }

        Cpu.Cpuid(L0.BaseLeaf + 3, 0, out uint eax, out _, out _, out uint edx);
        if ((eax >> 11 & 1) != 0 && (edx >> 8 & 1) != 0)
        {
            kilohertz = Cpu.ReadMsr(HypervFrequencyMsr) / 1000;
        }

        return kilohertz != 0;
    }

    // Intel SDM vol. 3, 19.7.3: leaf 0x15, when it names the crystal's frequency.
    private static bool TryAskCpu(out ulong kilohertz)
    {
        const uint TscLeaf = 0x15;
        kilohertz = 0;
        Cpu.Cpuid(0, 0, out uint maximum, out _, out _, out _);
        if (maximum < TscLeaf)
        {
            return false;
        }

        Cpu.Cpuid(TscLeaf, 0, out uint denominator, out uint numerator, out uint crystal, out _);
        if (denominator != 0)
        {
            kilohertz = (ulong)crystal * numerator / denominator / 1000;
        }

        return kilohertz != 0;
    }
}
