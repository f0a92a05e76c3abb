using System;

namespace Blanket.Core.Processor;

/// <summary>
/// XSAVE components that guests may use, their sizes, and leaf 0xd (Intel SDM vol. 1, 13). Components that need kernel-only
/// state (XSS), protection keys, MPX and AMX are not offered.
/// </summary>
public sealed class ExtendedState
{
    /// <summary>Components 0 and 1, x87 and SSE, which are always there.</summary>
    public const ulong X87AndSse = 3;

    private const ulong X87 = 1 << 0;
    private const ulong Sse = 1 << 1;
    private const ulong Avx = 1 << 2;
    private const ulong Avx512 = 0xe0;
    private const int ComponentCount = 8;
    private const uint Leaf0xd = 0xd;
    private const uint LegacyAndHeaderSize = 576;

    private readonly CpuidLeaf[] _leaves = new CpuidLeaf[ComponentCount];
    private readonly ulong _components;

    internal ExtendedState(CpuidSource source, in FeatureWords guest)
    {
        if (!guest.Has(CpuFeature.Xsave))
        {
            return;
        }

        _components = X87AndSse
            | (guest.Has(CpuFeature.Avx) ? Avx : 0)
            | (guest.Has(CpuFeature.Avx512f) ? Avx512 : 0);
        for (int i = 2; i < ComponentCount; i++)
        {
            if ((_components >> i & 1) != 0)
            {
                CpuidLeaf component = source.Read(Leaf0xd, (uint)i);
                _leaves[i] = new CpuidLeaf { Eax = component.Eax, Ebx = component.Ebx, Ecx = component.Ecx & AlignedFlag };
            }
        }

        _leaves[0] = new CpuidLeaf { Eax = (uint)_components, Ecx = StandardSize(_components) };
        _leaves[1] = new CpuidLeaf { Eax = guest[FeatureWords.XstateEax] };
    }

    // ECX bit 1 of a component's leaf: 64-byte aligned in the compacted format.
    private const uint AlignedFlag = 2;

    /// <summary>All components that guests may enable in XCR0; 0 without XSAVE.</summary>
    public ulong Components => _components;

    /// <summary>Whether a guest may load this value into XCR0.</summary>
    public bool IsValid(ulong xcr0) =>
        (xcr0 & ~_components) == 0
        && (xcr0 & X87) != 0
        && ((xcr0 & Avx) == 0 || (xcr0 & Sse) != 0)
        && ((xcr0 & Avx512) == 0 || ((xcr0 & Avx512) == Avx512 && (xcr0 & Avx) != 0));

    /// <summary>A subleaf of leaf 0xd without what depends on XCR0.</summary>
    internal CpuidLeaf Leaf(uint subleaf) => subleaf < ComponentCount ? _leaves[subleaf] : default;

    /// <summary>Fills in the sizes of the area for what a vCPU has enabled.</summary>
    internal void AdjustLeaf(ulong xcr0, uint subleaf, ref CpuidLeaf leaf)
    {
        if (_components == 0)
        {
            return;
        }

        if (subleaf == 0)
        {
            leaf.Ebx = StandardSize(xcr0);
        }
        else if (subleaf == 1 && (leaf.Eax & (1U << (CpuFeature.XsaveC & 31))) != 0)
        {
            leaf.Ebx = CompactedSize(xcr0);
        }
    }

    private uint StandardSize(ulong components)
    {
        uint size = LegacyAndHeaderSize;
        for (int i = 2; i < ComponentCount; i++)
        {
            if ((components >> i & 1) != 0)
            {
                size = Math.Max(size, unchecked(_leaves[i].Ebx + _leaves[i].Eax));
            }
        }

        return size;
    }

    private uint CompactedSize(ulong components)
    {
        uint size = LegacyAndHeaderSize;
        for (int i = 2; i < ComponentCount; i++)
        {
            if ((components >> i & 1) != 0)
            {
                size = (_leaves[i].Ecx & AlignedFlag) != 0 ? (size + 63) & ~63U : size;
                size = unchecked(size + _leaves[i].Eax);
            }
        }

        return size;
    }
}
