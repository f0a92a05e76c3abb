using System;
using System.Diagnostics.CodeAnalysis;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>What the machine's provider runs underneath.</summary>
public enum L0Kind : byte
{
    /// <summary>No known signature: real hardware, or a hypervisor that hides.</summary>
    None,
    Kvm,
    Xen,
    HyperV,
    VMware,

    /// <summary>QEMU's software emulation.</summary>
    Tcg,
}

/// <summary>
/// The hypervisor underneath, by its CPUID leaves: from 0x40000000 in steps of 0x100, because one that offers another's interface
/// too moves its own up (xen/include/public/arch-x86/cpuid.h; Linux, Documentation/virt/kvm/x86/cpuid.rst).
/// </summary>
public static class L0
{
    private const uint FirstLeaf = 0x40000000;
    private const uint LastLeaf = 0x40010000;
    private const uint Step = 0x100;
    private const uint FrequencyLeafOffset = 0x10;

    /// <summary>Which one; where several interfaces are offered, the one with the best drivers.</summary>
    public static L0Kind Kind { get; private set; }

    /// <summary>First CPUID leaf of that interface; 0 for none.</summary>
    public static uint BaseLeaf { get; private set; }

    /// <summary>Name for the log.</summary>
    public static ReadOnlySpan<byte> Name => Kind switch
    {
        L0Kind.Kvm => "KVM"u8,
        L0Kind.Xen => "Xen"u8,
        L0Kind.HyperV => "Hyper-V"u8,
        L0Kind.VMware => "VMware"u8,
        L0Kind.Tcg => "QEMU without hardware acceleration (TCG)"u8,
        _ => "none (no hypervisor signature)"u8,
    };

    /// <summary>Looks at CPUID; once at boot.</summary>
    public static void Detect()
    {
        Kind = L0Kind.None;
        BaseLeaf = 0;
        if (!CpuFeatures.Has(CpuFeature.Hypervisor))
        {
            return;
        }

        for (uint leaf = FirstLeaf; leaf < LastLeaf; leaf += Step)
        {
            Cpu.Cpuid(leaf, 0, out _, out uint ebx, out uint ecx, out uint edx);
            if (TryRecognize(ebx, ecx, edx, out L0Kind kind) && Rank(kind) > Rank(Kind))
            {
                Kind = kind;
                BaseLeaf = leaf;
            }
        }
    }

    /// <summary>What the twelve letters in ebx, ecx, edx mean.</summary>
    internal static bool TryRecognize(uint ebx, uint ecx, uint edx, out L0Kind kind)
    {
        Span<byte> signature = stackalloc byte[12];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(signature, ebx);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(signature.Slice(4), ecx);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(signature.Slice(8), edx);
        kind = L0Kind.None;
        if (signature.SequenceEqual("KVMKVMKVM\0\0\0"u8))
        {
            kind = L0Kind.Kvm;
        }
        else if (signature.SequenceEqual("XenVMMXenVMM"u8))
        {
            kind = L0Kind.Xen;
        }
        else if (signature.SequenceEqual("Microsoft Hv"u8))
        {
            kind = L0Kind.HyperV;
        }
        else if (signature.SequenceEqual("VMwareVMware"u8))
        {
            kind = L0Kind.VMware;
        }
        else if (signature.SequenceEqual("TCGTCGTCGTCG"u8))
        {
            kind = L0Kind.Tcg;
        }

        return kind != L0Kind.None;
    }

    // Xen and KVM offer Hyper-V's interface beside their own, for Windows; theirs is the real one.
    private static int Rank(L0Kind kind) => kind switch
    {
        L0Kind.None => 0,
        L0Kind.HyperV => 1,
        _ => 2,
    };

    /// <summary>The TSC frequency that the hypervisor states in its leaf 0x10 (VMware's convention, followed by KVM and QEMU), in kHz.</summary>
    internal static bool TryGetTscKilohertz(out uint kilohertz)
    {
        kilohertz = 0;
        if (Kind is not (L0Kind.Kvm or L0Kind.VMware or L0Kind.Tcg))
        {
            return false;
        }

        Cpu.Cpuid(BaseLeaf, 0, out uint lastLeaf, out _, out _, out _);
        if (lastLeaf < BaseLeaf + FrequencyLeafOffset || lastLeaf >= BaseLeaf + Step)
        {
            return false;
        }

        Cpu.Cpuid(BaseLeaf + FrequencyLeafOffset, 0, out kilohertz, out _, out _, out _);
        return kilohertz != 0;
    }
}
