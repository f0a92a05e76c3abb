using System.Numerics;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>CPUID leaves 0x40000000-0x400001ff: Xen's own (xen/include/public/arch-x86/cpuid.h).</summary>
internal static class HypervisorLeaves
{
    /// <summary>MSR that fills a page with hypercall stubs.</summary>
    internal const uint HypercallPageMsr = 0x40000000;

    private const uint Base = 0x40000000;
    private const uint End = 0x40000200;
    private const uint MaximumLeaf = 5;

    // "XenVMMXenVMM"
    private const uint SignatureEbx = 0x566e6558;
    private const uint SignatureEcx = 0x65584d4d;
    private const uint SignatureEdx = 0x4d4d566e;

    private const uint MmuPtUpdatePreserveAd = 1 << 0;
    private const uint HostTscIsReliable = 1 << 1;
    private const uint RdtscpAvailable = 1 << 2;

    internal static bool Contains(uint leaf) => leaf is >= Base and < End;

    internal static CpuidLeaf Query(Vcpu vcpu, uint leaf, uint subleaf) => (leaf - Base) switch
    {
        0 => new CpuidLeaf { Eax = Base + MaximumLeaf, Ebx = SignatureEbx, Ecx = SignatureEcx, Edx = SignatureEdx },
        1 => new CpuidLeaf { Eax = (ReportedVersion.Major << 16) | ReportedVersion.Minor },
        2 => new CpuidLeaf { Eax = 1, Ebx = HypercallPageMsr, Ecx = MmuPtUpdatePreserveAd },
        3 => Time(subleaf),
        5 => subleaf == 0 ? new CpuidLeaf { Ebx = MachineAddressWidth() } : default,
        _ => default,
    };

    // The TSC is not emulated (tsc_mode 0 on a machine where it is reliable), so offset and incarnation are 0.
    private static CpuidLeaf Time(uint subleaf) => subleaf switch
    {
        0 => new CpuidLeaf
        {
            Eax = HostTscIsReliable | (CpuidPolicy.Has(CpuFeature.Rdtscp) ? RdtscpAvailable : 0),
            Ecx = Kilohertz(),
        },
        1 => new CpuidLeaf { Ecx = SystemTime.TscToSystemMul, Edx = unchecked((uint)(int)SystemTime.TscShift) },
        2 => new CpuidLeaf { Eax = Kilohertz() },
        _ => default,
    };

    // Nanoseconds are ((ticks << shift) * multiplier) >> 32.
    private static uint Kilohertz()
    {
        if (SystemTime.TscToSystemMul == 0)
        {
            return 0;
        }

        ulong kilohertz = (1_000_000UL << 32) / SystemTime.TscToSystemMul;
        return (uint)(SystemTime.TscShift < 0 ? kilohertz << -SystemTime.TscShift : kilohertz >> SystemTime.TscShift);
    }

    // Bits of the largest machine address.
    private static uint MachineAddressWidth() =>
        (uint)(BitOperations.Log2(FrameTable.Limit - 1) + 1 + Cpu.PageShift);
}
