using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>Where the host's view of a CPU comes from: the CPU, or a description of one in tests.</summary>
public abstract class CpuidSource
{
    /// <summary>CPUID of a leaf and subleaf.</summary>
    public abstract CpuidLeaf Read(uint leaf, uint subleaf);

    /// <summary>MSR_ARCH_CAPABILITIES; asked only where CPUID says that it exists.</summary>
    public abstract ulong ReadArchCapabilities();
}

/// <summary>The CPU that this runs on.</summary>
public sealed class HardwareCpuid : CpuidSource
{
    private const uint MsrArchCapabilities = 0x10a;

    /// <inheritdoc/>
    public override CpuidLeaf Read(uint leaf, uint subleaf)
    {
        CpuidLeaf result = default;
        Cpu.Cpuid(leaf, subleaf, out result.Eax, out result.Ebx, out result.Ecx, out result.Edx);
        return result;
    }

    /// <inheritdoc/>
    public override ulong ReadArchCapabilities() => Cpu.ReadMsr(MsrArchCapabilities);
}
