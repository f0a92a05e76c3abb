using System;

namespace Blanket.Core.Processor;

/// <summary>Which features of a CPU a PV guest is told of: those that cpufeatureset.h marks for all guests, with adjustments.</summary>
internal static class GuestFeatures
{
    // The features marked 'A' (available to all guests), a word each.
    private static ReadOnlySpan<uint> Offered => new uint[]
    {
        0x1fc9cbf5, 0xf6d83203, 0xea500800, 0x042109e3, 0x00000007, 0xfdaf0b29, 0x02405f43, 0x00000000, 0x64001005, 0xac00441c,
        0x00001c30, 0x78000064, 0x00000000, 0x00000021, 0x00000000, 0x00000000, 0x1d12e173, 0x40000000, 0x00000006,
    };

    // Pairs: a feature, and one that means nothing without it.
    private static ReadOnlySpan<ushort> Dependencies => new ushort[]
    {
    CpuFeature.Fpu, CpuFeature.Mmx,
    CpuFeature.Fpu, CpuFeature.RstrFpErrPtrs,
    CpuFeature.Pae, CpuFeature.LongMode,
    CpuFeature.Pae, CpuFeature.Nx,
    CpuFeature.Tsc, CpuFeature.Rdtscp,
    CpuFeature.Tsc, CpuFeature.InvariantTsc,
    CpuFeature.Mmx, CpuFeature.MmxExt,
    CpuFeature.Mmx, CpuFeature.ThreeDNow,
    CpuFeature.Fxsr, CpuFeature.Ffxsr,
    CpuFeature.Fxsr, CpuFeature.Sse,
    CpuFeature.Sse, CpuFeature.Sse2,
    CpuFeature.Sse, CpuFeature.Misalignsse,
    CpuFeature.Sse2, CpuFeature.Sse3,
    CpuFeature.Sse2, CpuFeature.LongMode,
    CpuFeature.Sse2, CpuFeature.AesNi,
    CpuFeature.Sse2, CpuFeature.Pclmulqdq,
    CpuFeature.Sse2, CpuFeature.Sha,
    CpuFeature.Sse2, CpuFeature.Gfni,
    CpuFeature.Sse3, CpuFeature.Ssse3,
    CpuFeature.Sse3, CpuFeature.Sse4a,
    CpuFeature.Ssse3, CpuFeature.Sse41,
    CpuFeature.Sse41, CpuFeature.Sse42,
    CpuFeature.Xsave, CpuFeature.XsaveOpt,
    CpuFeature.Xsave, CpuFeature.XsaveC,
    CpuFeature.Xsave, CpuFeature.Xgetbv1,
    CpuFeature.Xsave, CpuFeature.Avx,
    CpuFeature.Avx, CpuFeature.Fma,
    CpuFeature.Avx, CpuFeature.Fma4,
    CpuFeature.Avx, CpuFeature.F16c,
    CpuFeature.Avx, CpuFeature.Avx2,
    CpuFeature.Avx, CpuFeature.Xop,
    CpuFeature.LongMode, CpuFeature.Cx16,
    CpuFeature.LongMode, CpuFeature.LahfLm,
    CpuFeature.ThreeDNow, CpuFeature.ThreeDNowExt,
    CpuFeature.Avx2, CpuFeature.Avx512f,
    CpuFeature.Avx2, CpuFeature.Vaes,
    CpuFeature.Avx2, CpuFeature.Vpclmulqdq,
    CpuFeature.Avx2, CpuFeature.AvxVnni,
    CpuFeature.Avx512f, CpuFeature.Avx512dq,
    CpuFeature.Avx512f, CpuFeature.Avx512Ifma,
    CpuFeature.Avx512f, CpuFeature.Avx512pf,
    CpuFeature.Avx512f, CpuFeature.Avx512er,
    CpuFeature.Avx512f, CpuFeature.Avx512cd,
    CpuFeature.Avx512f, CpuFeature.Avx512bw,
    CpuFeature.Avx512f, CpuFeature.Avx512vl,
    CpuFeature.Avx512f, CpuFeature.Avx5124vnniw,
    CpuFeature.Avx512f, CpuFeature.Avx5124fmaps,
    CpuFeature.Avx512f, CpuFeature.Avx512Vnni,
    CpuFeature.Avx512f, CpuFeature.Avx512Vpopcntdq,
    CpuFeature.Avx512bw, CpuFeature.Avx512Vbmi,
    CpuFeature.Avx512bw, CpuFeature.Avx512Vbmi2,
    CpuFeature.Avx512bw, CpuFeature.Avx512Bitalg,
    CpuFeature.Avx512bw, CpuFeature.Avx512Bf16,
    CpuFeature.Pclmulqdq, CpuFeature.Vpclmulqdq,
    CpuFeature.AesNi, CpuFeature.Vaes,
    CpuFeature.Ibrsb, CpuFeature.Stibp,
    CpuFeature.Ibrsb, CpuFeature.Ssbd,
    CpuFeature.Ibrsb, CpuFeature.IntelPsfd,
    CpuFeature.Ibrsb, CpuFeature.Eibrs,
    CpuFeature.Ibrs, CpuFeature.AmdStibp,
    CpuFeature.Ibpb, CpuFeature.IbpbRet,
    CpuFeature.Ibpb, CpuFeature.Sbpb,
    CpuFeature.Ibpb, CpuFeature.IbpbBrtype,
    CpuFeature.Eibrs, CpuFeature.Rrsba,
    };

    /// <summary>The features of a guest on a CPU.</summary>
    /// <param name="host">What the CPU has.</param>
    /// <param name="vendor">Who made the CPU.</param>
    /// <param name="hasXstateLeaf">Whether leaf 0xd exists.</param>
    internal static FeatureWords Of(in FeatureWords host, CpuVendor vendor, bool hasXstateLeaf)
    {
        FeatureWords guest = default;
        for (int i = 0; i < FeatureWords.Count; i++)
        {
            guest[i] = host[i] & Offered[i];
        }

        guest.Set(CpuFeature.Hypervisor, true);

        // MSR_SPEC_CTRL is not offered, so neither is what depends on it; barriers (IBPB) are, by their own name.
        guest.Set(CpuFeature.Ibpb, host.Has(CpuFeature.Ibpb) || host.Has(CpuFeature.Ibrsb));
        guest.Set(CpuFeature.Ibrsb, false);
        guest.Set(CpuFeature.Ibrs, false);

        // Guest kernel and guest user share ring 3: what is said of that boundary does not hold.
        guest.Set(CpuFeature.SrsoUsNo, false);

        // With it Linux reads and writes the inactive GS base at every switch of processes, by a trap and a hypercall on PV; without it
        // hardly ever. What it is for, quick changes of bases in user mode, nearly no program does.
        guest.Set(CpuFeature.FsGsBase, false);

        // Address masks of breakpoints would have to be switched with every vCPU.
        guest.Set(CpuFeature.DebugBreakpointExt, false);

        // AMD's CPUs have SYSENTER outside of long mode only; a PV guest's 32-bit programs run in compatibility mode, which is part of that.
        guest.Set(CpuFeature.Sep, host.Has(CpuFeature.Sep) && vendor == CpuVendor.Intel);
        if (!hasXstateLeaf)
        {
            guest.Set(CpuFeature.Xsave, false);
        }

        DropDependents(ref guest);

        // Return-stack underflow matters to the guest in its strictest reading, as enhanced IBRS is hidden.
        if (guest.Has(CpuFeature.ArchCaps))
        {
            guest.Set(CpuFeature.Rsba, host.Has(CpuFeature.Rsba) || host.Has(CpuFeature.Rrsba));
        }
        else
        {
            guest[FeatureWords.ArchCapabilitiesLow] = 0;
            guest[FeatureWords.ArchCapabilitiesHigh] = 0;
        }

        // How the FPU behaves cannot be hidden.
        guest.Set(CpuFeature.FdpExcpOnly, host.Has(CpuFeature.FdpExcpOnly));
        guest.Set(CpuFeature.NoFpuSel, host.Has(CpuFeature.NoFpuSel));
        return guest;
    }

    private static void DropDependents(ref FeatureWords words)
    {
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int i = 0; i < Dependencies.Length; i += 2)
            {
                if (!words.Has(Dependencies[i]) && words.Has(Dependencies[i + 1]))
                {
                    words.Set(Dependencies[i + 1], false);
                    changed = true;
                }
            }
        }
    }
}
