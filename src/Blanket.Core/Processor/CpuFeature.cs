namespace Blanket.Core.Processor;

/// <summary>
/// CPU features by number: 32 * word + bit, words as in <see cref="FeatureWords"/> (xen/include/public/arch-x86/cpufeatureset.h).
/// </summary>
public static class CpuFeature
{
    /// <summary>Onboard FPU.</summary>
    public const int Fpu = 0 * 32 + 0;

    /// <summary>Debugging Extensions.</summary>
    public const int De = 0 * 32 + 2;

    /// <summary>Time Stamp Counter.</summary>
    public const int Tsc = 0 * 32 + 4;

    /// <summary>Model-Specific Registers, RDMSR, WRMSR.</summary>
    public const int Msr = 0 * 32 + 5;

    /// <summary>Physical Address Extensions.</summary>
    public const int Pae = 0 * 32 + 6;

    /// <summary>Machine Check Architecture.</summary>
    public const int Mce = 0 * 32 + 7;

    /// <summary>Onboard APIC.</summary>
    public const int Apic = 0 * 32 + 9;

    /// <summary>SYSENTER/SYSEXIT.</summary>
    public const int Sep = 0 * 32 + 11;

    /// <summary>Multimedia Extensions.</summary>
    public const int Mmx = 0 * 32 + 23;

    /// <summary>FXSAVE and FXRSTOR instructions.</summary>
    public const int Fxsr = 0 * 32 + 24;

    /// <summary>Streaming SIMD Extensions.</summary>
    public const int Sse = 0 * 32 + 25;

    /// <summary>Streaming SIMD Extensions-2.</summary>
    public const int Sse2 = 0 * 32 + 26;

    /// <summary>Hyper-Threading Technology.</summary>
    public const int Htt = 0 * 32 + 28;

    /// <summary>Streaming SIMD Extensions-3.</summary>
    public const int Sse3 = 1 * 32 + 0;

    /// <summary>Carry-less multiplication.</summary>
    public const int Pclmulqdq = 1 * 32 + 1;

    /// <summary>Monitor/Mwait support.</summary>
    public const int Monitor = 1 * 32 + 3;

    /// <summary>Supplemental Streaming SIMD Extensions-3.</summary>
    public const int Ssse3 = 1 * 32 + 9;

    /// <summary>Fused Multiply Add.</summary>
    public const int Fma = 1 * 32 + 12;

    /// <summary>CMPXCHG16B.</summary>
    public const int Cx16 = 1 * 32 + 13;

    /// <summary>Extended xAPIC.</summary>
    public const int X2Apic = 1 * 32 + 21;

    /// <summary>Streaming SIMD Extensions 4.1.</summary>
    public const int Sse41 = 1 * 32 + 19;

    /// <summary>Streaming SIMD Extensions 4.2.</summary>
    public const int Sse42 = 1 * 32 + 20;

    /// <summary>TSC Deadline Timer.</summary>
    public const int TscDeadline = 1 * 32 + 24;

    /// <summary>AES instructions.</summary>
    public const int AesNi = 1 * 32 + 25;

    /// <summary>XSAVE/XRSTOR/XSETBV/XGETBV.</summary>
    public const int Xsave = 1 * 32 + 26;

    /// <summary>OSXSAVE.</summary>
    public const int OsXsave = 1 * 32 + 27;

    /// <summary>Advanced Vector Extensions.</summary>
    public const int Avx = 1 * 32 + 28;

    /// <summary>Half-precision convert instruction.</summary>
    public const int F16c = 1 * 32 + 29;

    /// <summary>Running under some hypervisor.</summary>
    public const int Hypervisor = 1 * 32 + 31;

    /// <summary>SYSCALL/SYSRET.</summary>
    public const int Syscall = 2 * 32 + 11;

    /// <summary>Execute Disable.</summary>
    public const int Nx = 2 * 32 + 20;

    /// <summary>AMD MMX extensions.</summary>
    public const int MmxExt = 2 * 32 + 22;

    /// <summary>FFXSR instruction optimizations.</summary>
    public const int Ffxsr = 2 * 32 + 25;

    /// <summary>RDTSCP.</summary>
    public const int Rdtscp = 2 * 32 + 27;

    /// <summary>Long Mode (x86-64).</summary>
    public const int LongMode = 2 * 32 + 29;

    /// <summary>AMD 3DNow! extensions.</summary>
    public const int ThreeDNowExt = 2 * 32 + 30;

    /// <summary>3DNow!.</summary>
    public const int ThreeDNow = 2 * 32 + 31;

    /// <summary>LAHF/SAHF in long mode.</summary>
    public const int LahfLm = 3 * 32 + 0;

    /// <summary>If yes HyperThreading not valid.</summary>
    public const int CmpLegacy = 3 * 32 + 1;

    /// <summary>SSE-4A.</summary>
    public const int Sse4a = 3 * 32 + 6;

    /// <summary>Misaligned SSE mode.</summary>
    public const int Misalignsse = 3 * 32 + 7;

    /// <summary>extended AVX instructions.</summary>
    public const int Xop = 3 * 32 + 11;

    /// <summary>4 operands MAC instructions.</summary>
    public const int Fma4 = 3 * 32 + 16;

    /// <summary>data breakpoint extension.</summary>
    public const int DebugBreakpointExt = 3 * 32 + 26;

    /// <summary>XSAVEOPT instruction.</summary>
    public const int XsaveOpt = 4 * 32 + 0;

    /// <summary>XSAVEC/XRSTORC instructions.</summary>
    public const int XsaveC = 4 * 32 + 1;

    /// <summary>XGETBV with %ecx=1.</summary>
    public const int Xgetbv1 = 4 * 32 + 2;

    /// <summary>{RD,WR}{FS,GS}BASE instructions.</summary>
    public const int FsGsBase = 5 * 32 + 0;

    /// <summary>AVX2 instructions.</summary>
    public const int Avx2 = 5 * 32 + 5;

    /// <summary>x87 FDP only updated on exception..</summary>
    public const int FdpExcpOnly = 5 * 32 + 6;

    /// <summary>Restricted Transactional Memory.</summary>
    public const int Rtm = 5 * 32 + 11;

    /// <summary>FPU CS/DS stored as zero.</summary>
    public const int NoFpuSel = 5 * 32 + 13;

    /// <summary>AVX-512 Foundation Instructions.</summary>
    public const int Avx512f = 5 * 32 + 16;

    /// <summary>AVX-512 Doubleword and Quadword Instrs.</summary>
    public const int Avx512dq = 5 * 32 + 17;

    /// <summary>AVX-512 Integer Fused Multiply Add.</summary>
    public const int Avx512Ifma = 5 * 32 + 21;

    /// <summary>AVX-512 Prefetch Instructions.</summary>
    public const int Avx512pf = 5 * 32 + 26;

    /// <summary>AVX-512 Exponent and Reciprocal Instrs.</summary>
    public const int Avx512er = 5 * 32 + 27;

    /// <summary>AVX-512 Conflict Detection Instrs.</summary>
    public const int Avx512cd = 5 * 32 + 28;

    /// <summary>SHA1 and SHA256 instructions.</summary>
    public const int Sha = 5 * 32 + 29;

    /// <summary>AVX-512 Byte and Word Instructions.</summary>
    public const int Avx512bw = 5 * 32 + 30;

    /// <summary>AVX-512 Vector Length Extensions.</summary>
    public const int Avx512vl = 5 * 32 + 31;

    /// <summary>AVX-512 Vector Byte Manipulation Instrs.</summary>
    public const int Avx512Vbmi = 6 * 32 + 1;

    /// <summary>Additional AVX-512 Vector Byte Manipulation Instrs.</summary>
    public const int Avx512Vbmi2 = 6 * 32 + 6;

    /// <summary>Galois Field Instrs.</summary>
    public const int Gfni = 6 * 32 + 8;

    /// <summary>Vector AES Instrs.</summary>
    public const int Vaes = 6 * 32 + 9;

    /// <summary>Vector Carry-less Multiplication Instrs.</summary>
    public const int Vpclmulqdq = 6 * 32 + 10;

    /// <summary>Vector Neural Network Instrs.</summary>
    public const int Avx512Vnni = 6 * 32 + 11;

    /// <summary>Support for VPOPCNT[B,W] and VPSHUFBITQMB.</summary>
    public const int Avx512Bitalg = 6 * 32 + 12;

    /// <summary>POPCNT for vectors of DW/QW.</summary>
    public const int Avx512Vpopcntdq = 6 * 32 + 14;

    /// <summary>RDPID instruction.</summary>
    public const int Rdpid = 6 * 32 + 22;

    /// <summary>Invariant TSC.</summary>
    public const int InvariantTsc = 7 * 32 + 8;

    /// <summary>(F)X{SAVE,RSTOR} always saves/restores FPU Error pointers.</summary>
    public const int RstrFpErrPtrs = 8 * 32 + 2;

    /// <summary>IBPB support only (no IBRS, used by AMD).</summary>
    public const int Ibpb = 8 * 32 + 12;

    /// <summary>MSR_SPEC_CTRL.IBRS.</summary>
    public const int Ibrs = 8 * 32 + 14;

    /// <summary>MSR_SPEC_CTRL.STIBP.</summary>
    public const int AmdStibp = 8 * 32 + 15;

    /// <summary>IBPB clears RSB/RAS too..</summary>
    public const int IbpbRet = 8 * 32 + 30;

    /// <summary>AVX512 Neural Network Instructions.</summary>
    public const int Avx5124vnniw = 9 * 32 + 2;

    /// <summary>AVX512 Multiply Accumulation Single Precision.</summary>
    public const int Avx5124fmaps = 9 * 32 + 3;

    /// <summary>IBRS and IBPB support (used by Intel).</summary>
    public const int Ibrsb = 9 * 32 + 26;

    /// <summary>STIBP.</summary>
    public const int Stibp = 9 * 32 + 27;

    /// <summary>MSR_SPEC_CTRL.SSBD available.</summary>
    public const int Ssbd = 9 * 32 + 31;

    /// <summary>IA32_ARCH_CAPABILITIES MSR.</summary>
    public const int ArchCaps = 9 * 32 + 29;

    /// <summary>AVX-VNNI Instructions.</summary>
    public const int AvxVnni = 10 * 32 + 4;

    /// <summary>AVX512 BFloat16 Instructions.</summary>
    public const int Avx512Bf16 = 10 * 32 + 5;

    /// <summary>LFENCE always serializing.</summary>
    public const int LfenceDispatch = 11 * 32 + 2;

    /// <summary>Selective Branch Predictor Barrier.</summary>
    public const int Sbpb = 11 * 32 + 27;

    /// <summary>IBPB flushes Branch Type predictions too.</summary>
    public const int IbpbBrtype = 11 * 32 + 28;

    /// <summary>Hardware not vulnerable to SRSO across the User/Supervisor boundary.</summary>
    public const int SrsoUsNo = 11 * 32 + 30;

    /// <summary>MSR_SPEC_CTRL.PSFD.</summary>
    public const int IntelPsfd = 13 * 32 + 0;

    /// <summary>Enhanced IBRS.</summary>
    public const int Eibrs = 16 * 32 + 1;

    /// <summary>RSB Alternative (Retpoline not safe).</summary>
    public const int Rsba = 16 * 32 + 2;

    /// <summary>Restricted RSB Alternative.</summary>
    public const int Rrsba = 16 * 32 + 19;
}
