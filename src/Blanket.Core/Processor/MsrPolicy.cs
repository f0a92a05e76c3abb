using Blanket.Core.Building;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>
/// Model-specific registers of a PV guest kernel, for RDMSR and WRMSR of the vCPU that runs on this CPU. What is not
/// here does not exist: #GP.
/// </summary>
public static class MsrPolicy
{
    private const uint TimeStampCounter = 0x10;
    private const uint PlatformId = 0x17;
    private const uint FeatureControl = 0x3a;
    private const uint PredictionCommand = 0x49;
    private const uint MicrocodeRevision = 0x8b;
    private const uint PlatformInformation = 0xce;
    private const uint MaximumPerformance = 0xe7;
    private const uint ActualPerformance = 0xe8;
    private const uint ArchCapabilities = 0x10a;
    private const uint MiscFeaturesEnables = 0x140;
    private const uint PerformanceStatus = 0x198;
    private const uint PerformanceControl = 0x199;
    private const uint ThermalControl = 0x19a;
    private const uint ThermalStatus = 0x19c;
    private const uint MiscEnable = 0x1a0;
    private const uint EnergyBias = 0x1b0;
    private const uint PerformanceCapabilities = 0x345;
    private const uint AmdHardwareConfiguration = 0xc0010015;
    private const uint AmdNorthbridgeConfiguration = 0xc001001f;
    private const uint AmdMmioConfiguration = 0xc0010058;
    private const uint AmdDecodeConfiguration = 0xc0011029;

    private const uint HypervisorFirst = 0x40000000;
    private const uint HypervisorLast = 0x400002ff;

    private const ulong FeatureControlLock = 1;
    private const ulong ApicBaseAddress = 0xfee00000;
    private const ulong ApicEnable = 1 << 11;
    private const ulong ApicBootProcessor = 1 << 8;
    private const ulong LfenceSerializes = 1 << 1;
    private const ulong BarrierCommand = 1 << 0;
    private const ulong SelectiveBarrierCommand = 1 << 7;

    // SCE, LME, LMA, NXE, FFXSR: SVME is hidden.
    private const ulong VisibleEfer = 0x4d01;

    // WB, WT, UC-, UC, WC, WP, UC, UC: the attributes that Xen has for PV guests.
    private const ulong PageAttributes = 0x0000_0501_0007_0406;

    // Of MISC_ENABLE: no performance monitoring, no MONITOR; BTS and PEBS unavailable, xTPR disabled.
    private const ulong MiscEnableHidden = (1 << 7) | (1 << 18);
    private const ulong MiscEnableShown = (1 << 11) | (1 << 12) | (1 << 23);

    private const byte GeneralProtectionVector = 13;

    /// <summary>RDMSR.</summary>
    /// <returns>False for #GP.</returns>
    public static bool TryRead(Vcpu vcpu, uint index, out ulong value)
    {
        if (TryReadKnown(vcpu, index, out value))
        {
            return true;
        }

        // Kernels that read registers before they have handlers would crash; a register that the CPU has reads as 0 for them.
        value = 0;
        return vcpu.State.Trap(GeneralProtectionVector).Address == 0
            && index >> 16 != HypervisorFirst >> 16
            && GuardedMsr.TryRead(index, out _);
    }

    /// <summary>WRMSR.</summary>
    /// <returns>False for #GP.</returns>
    public static bool TryWrite(Vcpu vcpu, uint index, ulong value)
    {
        switch (index)
        {
            case Msr.FsBase or Msr.GsBase or Msr.KernelGsBase:
                if (!AddressSpace.IsCanonical(value))
                {
                    return false;
                }

                Cpu.WriteMsr(index, value);
                return true;
            case Msr.Efer:
                return value == GuestEfer();
            case Msr.TscAux:
                return TryWriteTscAux(vcpu, value);
            case PredictionCommand:
                return TryWritePredictionCommand(value);
            case MicrocodeRevision:
                return IsIntel && value == 0;
            case MiscFeaturesEnables:
                return value == 0;
            case MiscEnable:
                return GuardedMsr.TryRead(MiscEnable, out _);
            case >= HypervisorFirst and <= HypervisorLast:
                return index == HypervisorLeaves.HypercallPageMsr && TryWriteHypercallPage(vcpu, value);
            default:
                return MachineCheckRegisters.Contains(index)
                    ? MachineCheckRegisters.TryWrite(vcpu, index, value)
                    : IsWriteIgnored(index);
        }
    }

    private static bool IsIntel => CpuidPolicy.Current.Vendor == CpuVendor.Intel;

    private static bool IsAmd => CpuidPolicy.Current.Vendor == CpuVendor.Amd;

    private static bool TryReadKnown(Vcpu vcpu, uint index, out ulong value)
    {
        value = 0;
        switch (index)
        {
            case Msr.FsBase or Msr.GsBase or Msr.KernelGsBase:
                // In guest kernel mode the CPU holds them as a kernel in ring 0 would find them.
                value = Cpu.ReadMsr(index);
                return true;
            case Msr.ApicBase:
                value = ApicBaseAddress | ApicEnable | (vcpu.Id == 0 ? ApicBootProcessor : 0);
                return true;
            case Msr.Efer:
                value = GuestEfer();
                return true;
            case Msr.Pat:
                value = PageAttributes;
                return true;
            case Msr.TscAux:
                value = vcpu.TscAux;
                return HasTscAux;
            case TimeStampCounter:
                value = Cpu.ReadTsc();
                return true;
            case ArchCapabilities:
                value = CpuidPolicy.Current.ArchCapabilities;
                return CpuidPolicy.Has(CpuFeature.ArchCaps);
            case FeatureControl:
                value = FeatureControlLock;
                return IsIntel;
            case PlatformId:
                return IsIntel && GuardedMsr.TryRead(index, out value);
            case MicrocodeRevision:
                return (IsIntel || IsAmd) && GuardedMsr.TryRead(index, out value);
            case MiscEnable:
                return TryReadMiscEnable(out value);
            case AmdDecodeConfiguration:
                value = LfenceSerializes;
                return IsAmd;
            default:
                return MachineCheckRegisters.Contains(index)
                    ? MachineCheckRegisters.TryRead(vcpu, index, out value)
                    : ReadsAsZero(index);
        }
    }

    private static bool ReadsAsZero(uint index) => index switch
    {
        HypervisorLeaves.HypercallPageMsr or PlatformInformation or MiscFeaturesEnables or PerformanceCapabilities => true,
        AmdNorthbridgeConfiguration => true,
        PerformanceStatus or PerformanceControl or ThermalStatus => IsIntel,
        AmdHardwareConfiguration => IsAmd,
        _ => IsPerformanceCounter(index) || IsAmdPowerState(index) || IsAmdMmioConfiguration(index),
    };

    private static bool IsWriteIgnored(uint index) => index switch
    {
        MaximumPerformance or ActualPerformance => IsIntel || IsAmd,
        PerformanceControl or ThermalControl or EnergyBias => IsIntel,
        AmdNorthbridgeConfiguration => true,
        AmdHardwareConfiguration or AmdDecodeConfiguration => IsAmd,
        _ => IsPerformanceCounter(index) || IsAmdPowerState(index) || IsAmdMmioConfiguration(index),
    };

    // There is no performance monitoring for guests: counters stand still.
    private static bool IsPerformanceCounter(uint index) => index switch
    {
        (>= 0xc1 and <= 0xc8) or (>= 0x186 and <= 0x189) or (>= 0x309 and <= 0x30b) or (>= 0x38d and <= 0x390) => IsIntel,
        (>= 0xc0010000 and <= 0xc0010007) or (>= 0xc0010200 and <= 0xc001020b) => IsAmd,
        _ => false,
    };

    private static bool IsAmdPowerState(uint index) =>
        index is 0xc0010041 or 0xc0010042 or (>= 0xc0010061 and <= 0xc001006b) && IsAmd;

    private static bool IsAmdMmioConfiguration(uint index) =>
        index == AmdMmioConfiguration && IsAmd && CpuidPolicy.Current.Family is >= 0x10 and < 0x17;

    private static ulong GuestEfer() => Cpu.ReadMsr(Msr.Efer) & VisibleEfer;

    /// <summary>Whether guests have MSR_TSC_AUX.</summary>
    internal static bool HasTscAux => CpuidPolicy.Has(CpuFeature.Rdtscp) || CpuidPolicy.Has(CpuFeature.Rdpid);

    private static bool TryReadMiscEnable(out ulong value)
    {
        if (!GuardedMsr.TryRead(MiscEnable, out value))
        {
            return false;
        }

        value = (value & ~MiscEnableHidden) | MiscEnableShown;
        return true;
    }

    private static bool TryWriteTscAux(Vcpu vcpu, ulong value)
    {
        if (!HasTscAux || value > uint.MaxValue)
        {
            return false;
        }

        vcpu.TscAux = (uint)value;
        ProcessorSwitch.SetTscAux((uint)value);
        return true;
    }

    private static bool TryWritePredictionCommand(ulong value)
    {
        ulong allowed = BarrierCommand | (CpuidPolicy.Has(CpuFeature.Sbpb) ? SelectiveBarrierCommand : 0);
        return CpuidPolicy.Has(CpuFeature.Ibpb) && (value & ~allowed) == 0 && GuardedMsr.TryWrite(PredictionCommand, value);
    }

    // The value is a machine frame's address; the low bits would choose one of several pages.
    private static bool TryWriteHypercallPage(Vcpu vcpu, ulong value)
    {
        ulong frame = value >> Cpu.PageShift;
        if ((value & (Cpu.PageSize - 1)) != 0 || !FrameReference.TryGetWritable(vcpu.Domain, frame))
        {
            return false;
        }

        HypercallPage.Write(PhysicalMemory.Frame(frame));
        FrameReference.PutWritable(frame);
        return true;
    }
}
