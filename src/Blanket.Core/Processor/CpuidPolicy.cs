using System;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Processor;

/// <summary>
/// What CPUID tells a PV guest: computed once from the CPU, with the few parts that depend on the vCPU filled in at each query.
/// Only emulated CPUID gets this; the plain instruction is not intercepted in ring 3.
/// </summary>
public sealed class CpuidPolicy
{
    private const int BasicLeaves = 0xe;
    private const int CacheSubleaves = 6;
    private const int FeatureSubleaves = 3;
    private const int IntelExtendedLeaves = 9;
    private const int AmdExtendedLeaves = 0x22;
    private const uint ExtendedBase = 0x80000000;

    private const uint CacheLeaf = 4;
    private const uint FeatureLeaf = 7;
    private const uint TopologyLeaf = 0xb;
    private const uint XstateLeaf = 0xd;

    // Leaf 0x80000001 EDX repeats these bits of leaf 1 EDX on AMD CPUs and not on Intel ones.
    private const uint CommonLeaf1Edx = 0x0183f3ff;

    private static CpuidPolicy? s_current;

    private readonly CpuidLeaf[] _basic = new CpuidLeaf[BasicLeaves];
    private readonly CpuidLeaf[] _cache = new CpuidLeaf[CacheSubleaves];
    private readonly CpuidLeaf[] _features = new CpuidLeaf[FeatureSubleaves];
    private readonly CpuidLeaf[] _extended = new CpuidLeaf[AmdExtendedLeaves];
    private readonly FeatureWords _words;
    private readonly CpuVendor _vendor;
    private readonly ExtendedState _xstate;
    private readonly uint _family;

    /// <summary>The policy for guests on a CPU.</summary>
    public CpuidPolicy(CpuidSource source)
    {
        ReadBasic(source);
        ReadExtended(source);
        _vendor = VendorOf(_basic[0]);
        _family = FamilyOf(_basic[1].Eax);
        FeatureWords host = HostFeatures(source);
        _words = GuestFeatures.Of(host, _vendor, _basic[0].Eax >= XstateLeaf);
        _xstate = new ExtendedState(source, _words);
        StoreFeatures();
        HideLeaves();
    }

    /// <summary>The policy that is in force; set once at boot.</summary>
    public static CpuidPolicy Current => s_current!;

    /// <summary>XSAVE state of guests.</summary>
    public ExtendedState Xstate => _xstate;

    /// <summary>The CPU's vendor.</summary>
    public CpuVendor Vendor => _vendor;

    /// <summary>The CPU's family, extended family included.</summary>
    public uint Family => _family;

    /// <summary>What a guest reads from MSR_ARCH_CAPABILITIES, if it has it.</summary>
    public ulong ArchCapabilities =>
        _words[FeatureWords.ArchCapabilitiesLow] | ((ulong)_words[FeatureWords.ArchCapabilitiesHigh] << 32);

    /// <summary>Puts a policy in force.</summary>
    public static void Use(CpuidPolicy policy) => s_current = policy;

    /// <summary>Whether guests have a <see cref="CpuFeature"/>.</summary>
    public static bool Has(int feature) => Current._words.Has(feature);

    /// <summary>CPUID as a vCPU sees it.</summary>
    /// <param name="vcpu">The vCPU that runs on this CPU.</param>
    /// <param name="leaf">EAX.</param>
    /// <param name="subleaf">ECX.</param>
    /// <param name="isForced">By forced emulation rather than by faulting: guest kernels then also see OSXSAVE before they set it.</param>
    public static CpuidLeaf Query(Vcpu vcpu, uint leaf, uint subleaf, bool isForced)
    {
        if (HypervisorLeaves.Contains(leaf))
        {
            return HypervisorLeaves.Query(vcpu, leaf, subleaf);
        }

        CpuidLeaf result = Current.Static(leaf, subleaf);
        switch (leaf)
        {
            case 1:
                Current.AdjustLeaf1(vcpu, isForced, ref result);
                break;
            case XstateLeaf:
                Current._xstate.AdjustLeaf(vcpu.GuestXcr0, subleaf, ref result);
                break;
            default:
                break;
        }

        return result;
    }

    /// <summary>The part of a leaf that is the same for all vCPUs; zeroes for one that does not exist, as AMD CPUs have it.</summary>
    internal CpuidLeaf Static(uint leaf, uint subleaf)
    {
        if (leaf < BasicLeaves)
        {
            return leaf > _basic[0].Eax ? default : leaf switch
            {
                CacheLeaf => subleaf < CacheSubleaves ? _cache[subleaf] : default,
                FeatureLeaf => subleaf <= _features[0].Eax ? _features[subleaf] : default,
                XstateLeaf => _xstate.Leaf(subleaf),
                _ => _basic[leaf],
            };
        }

        uint extended = unchecked(leaf - ExtendedBase);
        return extended <= (_extended[0].Eax & 0xffff) ? _extended[extended] : default;
    }

    private void AdjustLeaf1(Vcpu vcpu, bool isForced, ref CpuidLeaf leaf)
    {
        // Linux relies on seeing the hypervisor's OSXSAVE in the emulated leaf before it sets its own.
        bool osXsave = (vcpu.GuestCr4 & ControlRegisters.OsXsave) != 0
            || (isForced && vcpu.State.InKernel != 0 && _words.Has(CpuFeature.Xsave));
        leaf.Ecx |= osXsave ? 1U << (CpuFeature.OsXsave & 31) : 0;
    }

    private void ReadBasic(CpuidSource source)
    {
        _basic[0] = source.Read(0, 0);
        _basic[0].Eax = Math.Min(_basic[0].Eax, BasicLeaves - 1);
        for (uint leaf = 1; leaf <= _basic[0].Eax; leaf++)
        {
            if (leaf is not (CacheLeaf or FeatureLeaf or TopologyLeaf or XstateLeaf))
            {
                _basic[leaf] = source.Read(leaf, 0);
            }
        }

        for (uint i = 0; _basic[0].Eax >= CacheLeaf && i < CacheSubleaves; i++)
        {
            CpuidLeaf cache = source.Read(CacheLeaf, i);
            if ((cache.Eax & 0x1f) is < 1 or > 3)
            {
                break;
            }

            _cache[i] = cache;
        }

        if (_basic[0].Eax >= FeatureLeaf)
        {
            _features[0] = source.Read(FeatureLeaf, 0);
            _features[0].Eax = Math.Min(_features[0].Eax, FeatureSubleaves - 1);
            for (uint i = 1; i <= _features[0].Eax; i++)
            {
                _features[i] = source.Read(FeatureLeaf, i);
            }
        }
    }

    private void ReadExtended(CpuidSource source)
    {
        _extended[0] = source.Read(ExtendedBase, 0);
        bool isAmd = VendorOf(_basic[0]) == CpuVendor.Amd;
        uint limit = (uint)(isAmd ? AmdExtendedLeaves : IntelExtendedLeaves) - 1;
        bool exists = _extended[0].Eax >= ExtendedBase;
        uint last = exists ? Math.Min(_extended[0].Eax & 0xffff, limit) : 0;
        _extended[0].Eax = ExtendedBase | last;
        for (uint leaf = 1; leaf <= last; leaf++)
        {
            _extended[leaf] = source.Read(ExtendedBase + leaf, 0);
        }
    }

    private FeatureWords HostFeatures(CpuidSource source)
    {
        FeatureWords words = default;
        words[FeatureWords.Leaf1Edx] = _basic[1].Edx;
        words[FeatureWords.Leaf1Ecx] = _basic[1].Ecx;
        words[FeatureWords.Extended1Edx] = _extended[1].Edx;
        words[FeatureWords.Extended1Ecx] = _extended[1].Ecx;
        words[FeatureWords.XstateEax] = _basic[0].Eax >= XstateLeaf ? source.Read(XstateLeaf, 1).Eax : 0;
        words[FeatureWords.Leaf7Ebx] = _features[0].Ebx;
        words[FeatureWords.Leaf7Ecx] = _features[0].Ecx;
        words[FeatureWords.Leaf7Edx] = _features[0].Edx;
        words[FeatureWords.Leaf7Sub1Eax] = _features[1].Eax;
        words[FeatureWords.Leaf7Sub1Ebx] = _features[1].Ebx;
        words[FeatureWords.Leaf7Sub1Ecx] = _features[1].Ecx;
        words[FeatureWords.Leaf7Sub1Edx] = _features[1].Edx;
        words[FeatureWords.Leaf7Sub2Edx] = _features[2].Edx;
        words[FeatureWords.Extended7Edx] = _extended[7].Edx;
        words[FeatureWords.Extended8Ebx] = _extended[8].Ebx;
        words[FeatureWords.Extended21Eax] = _extended[0x21].Eax;
        words[FeatureWords.Extended21Ecx] = _extended[0x21].Ecx;
        if (words.Has(CpuFeature.ArchCaps))
        {
            ulong capabilities = source.ReadArchCapabilities();
            words[FeatureWords.ArchCapabilitiesLow] = (uint)capabilities;
            words[FeatureWords.ArchCapabilitiesHigh] = (uint)(capabilities >> 32);
        }

        return words;
    }

    private void StoreFeatures()
    {
        _basic[1].Edx = _words[FeatureWords.Leaf1Edx];
        _basic[1].Ecx = _words[FeatureWords.Leaf1Ecx];
        _features[0].Ebx = _words[FeatureWords.Leaf7Ebx];
        _features[0].Ecx = _words[FeatureWords.Leaf7Ecx];
        _features[0].Edx = _words[FeatureWords.Leaf7Edx];
        _features[1] = new CpuidLeaf
        {
            Eax = _words[FeatureWords.Leaf7Sub1Eax],
            Ebx = _words[FeatureWords.Leaf7Sub1Ebx],
            Ecx = _words[FeatureWords.Leaf7Sub1Ecx],
            Edx = _words[FeatureWords.Leaf7Sub1Edx],
        };
        _features[2] = new CpuidLeaf { Edx = _words[FeatureWords.Leaf7Sub2Edx] };
        _extended[1].Edx = _words[FeatureWords.Extended1Edx];
        _extended[1].Ecx = _words[FeatureWords.Extended1Ecx];
        _extended[7].Edx = _words[FeatureWords.Extended7Edx];
        _extended[8].Ebx = _words[FeatureWords.Extended8Ebx];
        _extended[0x21].Eax = _words[FeatureWords.Extended21Eax];
        _extended[0x21].Ecx = _words[FeatureWords.Extended21Ecx];
    }

    // Leaves about the machine rather than the instruction set, and reserved fields.
    private void HideLeaves()
    {
        _basic[1].Eax &= 0x0fff0fff;
        _basic[1].Ebx &= 0x00ffffff;
        _basic[5] = default;
        _basic[6] = default;
        _basic[8] = default;
        _basic[0xa] = default;
        _basic[0xc] = default;
        for (int i = 0; i < CacheSubleaves; i++)
        {
            _cache[i].Eax &= 0xffffc3ff;
            _cache[i].Edx &= 7;
        }

        _extended[1].Edx &= ~CommonLeaf1Edx;
        _extended[7] = new CpuidLeaf { Edx = _extended[7].Edx };
        HideAddressWidths();
        if (_vendor == CpuVendor.Amd)
        {
            HideAmdLeaves();
        }
        else if (_vendor == CpuVendor.Intel)
        {
            HideIntelLeaves();
        }
    }

    private void HideAddressWidths()
    {
        uint physical = Math.Min(Math.Max(_extended[8].Eax & 0xff, 36), 52);
        _extended[8].Eax = (_extended[0].Eax & 0xffff) >= 8 ? (48U << 8) | physical : 0;
        _extended[8].Edx = 0;
    }

    private void HideIntelLeaves()
    {
        _basic[2].Eax = (_basic[2].Eax & ~0xffU) | 1;
        _basic[3] = default;
        _basic[9] = default;
        _extended[0] = new CpuidLeaf { Eax = _extended[0].Eax };
        _extended[1].Eax = 0;
        _extended[1].Ebx = 0;
        _extended[5] = default;
        _extended[6] = new CpuidLeaf { Ecx = _extended[6].Ecx };
        _extended[8].Ecx = 0;
    }

    private void HideAmdLeaves()
    {
        _basic[2] = default;
        _basic[3] = default;
        _basic[9] = default;
        for (int i = 0; i < CacheSubleaves; i++)
        {
            _cache[i] = default;
        }

        _extended[0].Ebx = _basic[0].Ebx;
        _extended[0].Ecx = _basic[0].Ecx;
        _extended[0].Edx = _basic[0].Edx;
        _extended[1].Eax = _basic[1].Eax;
        _extended[1].Ebx &= 0xff00ffff;
        _extended[1].Edx |= _basic[1].Edx & CommonLeaf1Edx;
        _extended[8].Ecx &= 0x0003f0ff;
        _extended[9] = default;

        // SVM, performance monitoring, topology, encrypted memory; 0x19 is about 1 GiB pages, which guests do not have.
        for (int leaf = 0xa; leaf <= 0x20; leaf++)
        {
            if (leaf != 0x1a)
            {
                _extended[leaf] = default;
            }
        }

        _extended[0x21].Ebx = 0;
        _extended[0x21].Edx = 0;
    }

    private static uint FamilyOf(uint signature)
    {
        uint family = (signature >> 8) & 0xf;
        return family == 0xf ? family + ((signature >> 20) & 0xff) : family;
    }

    private static CpuVendor VendorOf(in CpuidLeaf leaf0) => leaf0.Ebx switch
    {
        0x756e6547 or 0x746e6543 or 0x68532020 => CpuVendor.Intel,
        0x68747541 or 0x6f677948 => CpuVendor.Amd,
        _ => CpuVendor.Other,
    };
}
