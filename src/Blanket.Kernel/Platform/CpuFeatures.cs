using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Features of the CPUs that the hypervisor asks about.</summary>
public enum CpuFeature : byte
{
    Hypervisor,
    Xsave,
    XsaveOptimized,
    Fsgsbase,
    Smep,
    Smap,
    NoExecute,
    HugePages,
    X2Apic,
    TscDeadline,
    InvariantTsc,
    Rdtscp,
    Rdrand,
}

/// <summary>What the boot CPU can do (Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E). All CPUs of a machine are taken to be alike.</summary>
public static class CpuFeatures
{
    private const uint ExtendedLeaves = 0x80000000;

    private static uint s_features;

    /// <summary>XSAVE components that the CPU has and guests may use (XCR0 bits); 0 without XSAVE.</summary>
    public static ulong ExtendedComponents { get; private set; }

    /// <summary>Bytes of an XSAVE area with all components that the CPU has; 512 (FXSAVE) without XSAVE.</summary>
    public static uint ExtendedStateSize { get; private set; }

    /// <summary>Bits of a physical address, 36 to 52.</summary>
    public static int PhysicalAddressBits { get; private set; }

    /// <summary>The local APIC id of the CPU that runs this.</summary>
    public static uint CurrentApicId
    {
        get
        {
            Cpu.Cpuid(0, 0, out uint maximum, out _, out _, out _);
            if (maximum >= 0xb)
            {
                Cpu.Cpuid(0xb, 0, out _, out uint threads, out _, out uint id);
                if (threads != 0)
                {
                    return id;
                }
            }

            Cpu.Cpuid(1, 0, out _, out uint ebx, out _, out _);
            return ebx >> 24;
        }
    }

    /// <summary>Whether the CPU has a feature.</summary>
    public static bool Has(CpuFeature feature) => (s_features >> (int)feature & 1) != 0;

    /// <summary>Looks at CPUID; once at boot.</summary>
    public static void Detect()
    {
        s_features = 0;
        Cpu.Cpuid(0, 0, out uint maximum, out _, out _, out _);
        Cpu.Cpuid(1, 0, out _, out _, out uint ecx, out _);
        Add(CpuFeature.Hypervisor, ecx, 31);
        Add(CpuFeature.Xsave, ecx, 26);
        Add(CpuFeature.X2Apic, ecx, 21);
        Add(CpuFeature.TscDeadline, ecx, 24);
        Add(CpuFeature.Rdrand, ecx, 30);
        if (maximum >= 7)
        {
            Cpu.Cpuid(7, 0, out _, out uint ebx, out _, out _);
            Add(CpuFeature.Fsgsbase, ebx, 0);
            Add(CpuFeature.Smep, ebx, 7);
            Add(CpuFeature.Smap, ebx, 20);
        }

        DetectExtended();
        DetectXsave(maximum);
    }

    private static void DetectExtended()
    {
        PhysicalAddressBits = 36;
        Cpu.Cpuid(ExtendedLeaves, 0, out uint maximum, out _, out _, out _);
        if (maximum >= ExtendedLeaves + 1)
        {
            Cpu.Cpuid(ExtendedLeaves + 1, 0, out _, out _, out _, out uint edx);
            Add(CpuFeature.NoExecute, edx, 20);
            Add(CpuFeature.HugePages, edx, 26);
            Add(CpuFeature.Rdtscp, edx, 27);
        }

        if (maximum >= ExtendedLeaves + 7)
        {
            Cpu.Cpuid(ExtendedLeaves + 7, 0, out _, out _, out _, out uint edx);
            Add(CpuFeature.InvariantTsc, edx, 8);
        }

        if (maximum >= ExtendedLeaves + 8)
        {
            Cpu.Cpuid(ExtendedLeaves + 8, 0, out uint eax, out _, out _, out _);
            PhysicalAddressBits = System.Math.Max(36, System.Math.Min(52, (int)(eax & 0xff)));
        }
    }

    private static void DetectXsave(uint maximum)
    {
        const uint XsaveLeaf = 0xd;
        const uint LegacyAreaSize = 512;

        // x87, SSE, AVX and AVX-512: what guests are offered (Blanket.Core, ExtendedState) and what VcpuState has room for.
        const ulong GuestComponents = 0xe7;
        ExtendedComponents = 0;
        ExtendedStateSize = LegacyAreaSize;
        if (!Has(CpuFeature.Xsave) || maximum < XsaveLeaf)
        {
            return;
        }

        Cpu.Cpuid(XsaveLeaf, 0, out uint low, out _, out uint size, out uint high);
        ExtendedComponents = (low | ((ulong)high << 32)) & GuestComponents;
        ExtendedStateSize = System.Math.Max(size, LegacyAreaSize);
        Cpu.Cpuid(XsaveLeaf, 1, out uint variants, out _, out _, out _);
        Add(CpuFeature.XsaveOptimized, variants, 0);
    }

    private static void Add(CpuFeature feature, uint register, int bit) => s_features |= (register >> bit & 1) << (int)feature;
}
