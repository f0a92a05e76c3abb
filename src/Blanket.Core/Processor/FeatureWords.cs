using System.Runtime.CompilerServices;

namespace Blanket.Core.Processor;

/// <summary>
/// Feature words in the order of xen/include/public/arch-x86/cpufeatureset.h: the registers of CPUID, and two words of
/// MSR_ARCH_CAPABILITIES, that say what a CPU can do.
/// </summary>
[InlineArray(Count)]
public struct FeatureWords
{
    /// <summary>Number of words.</summary>
    public const int Count = 19;

    /// <summary>Leaf 1, EDX.</summary>
    public const int Leaf1Edx = 0;

    /// <summary>Leaf 1, ECX.</summary>
    public const int Leaf1Ecx = 1;

    /// <summary>Leaf 0x80000001, EDX.</summary>
    public const int Extended1Edx = 2;

    /// <summary>Leaf 0x80000001, ECX.</summary>
    public const int Extended1Ecx = 3;

    /// <summary>Leaf 0xd subleaf 1, EAX.</summary>
    public const int XstateEax = 4;

    /// <summary>Leaf 7, EBX.</summary>
    public const int Leaf7Ebx = 5;

    /// <summary>Leaf 7, ECX.</summary>
    public const int Leaf7Ecx = 6;

    /// <summary>Leaf 0x80000007, EDX.</summary>
    public const int Extended7Edx = 7;

    /// <summary>Leaf 0x80000008, EBX.</summary>
    public const int Extended8Ebx = 8;

    /// <summary>Leaf 7, EDX.</summary>
    public const int Leaf7Edx = 9;

    /// <summary>Leaf 7 subleaf 1, EAX.</summary>
    public const int Leaf7Sub1Eax = 10;

    /// <summary>Leaf 0x80000021, EAX.</summary>
    public const int Extended21Eax = 11;

    /// <summary>Leaf 7 subleaf 1, EBX.</summary>
    public const int Leaf7Sub1Ebx = 12;

    /// <summary>Leaf 7 subleaf 2, EDX.</summary>
    public const int Leaf7Sub2Edx = 13;

    /// <summary>Leaf 7 subleaf 1, ECX.</summary>
    public const int Leaf7Sub1Ecx = 14;

    /// <summary>Leaf 7 subleaf 1, EDX.</summary>
    public const int Leaf7Sub1Edx = 15;

    /// <summary>MSR_ARCH_CAPABILITIES, low half.</summary>
    public const int ArchCapabilitiesLow = 16;

    /// <summary>MSR_ARCH_CAPABILITIES, high half.</summary>
    public const int ArchCapabilitiesHigh = 17;

    /// <summary>Leaf 0x80000021, ECX.</summary>
    public const int Extended21Ecx = 18;

    private uint _first;

    /// <summary>Whether a <see cref="CpuFeature"/> is there.</summary>
    public readonly bool Has(int feature) => ((this[feature >> 5] >> (feature & 31)) & 1) != 0;

    /// <summary>Adds or removes a <see cref="CpuFeature"/>.</summary>
    public void Set(int feature, bool present)
    {
        uint bit = 1U << (feature & 31);
        this[feature >> 5] = present ? this[feature >> 5] | bit : this[feature >> 5] & ~bit;
    }
}
