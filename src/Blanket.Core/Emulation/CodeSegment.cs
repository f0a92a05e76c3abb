using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>How the CPU interprets instructions of a code segment.</summary>
internal enum CodeMode : byte
{
    /// <summary>Not a code segment, or one of 16 bits or with a base: nothing is emulated there.</summary>
    Unsupported,
    Flat32,
    Long64,
}

/// <summary>Looks up the descriptor of the guest's code segment (Intel SDM vol. 3, 3.4.5).</summary>
internal static class CodeSegment
{
    private const int LocalTableBit = 4;
    private const int DescriptorShift = 3;
    private const int DescriptorsPerFrame = Cpu.PageSize >> DescriptorShift;
    private const ulong Code = 1UL << 43;
    private const ulong CodeOrData = 1UL << 44;
    private const ulong Present = 1UL << 47;
    private const ulong Long = 1UL << 53;
    private const ulong Default32 = 1UL << 54;
    private const ulong Granularity = 1UL << 55;
    private const ulong BaseMask = 0xff0000ff_ffff0000;
    private const ulong LimitMask = 0x000f0000_0000ffff;

    /// <summary>The mode of a selector that the running vCPU has loaded into CS.</summary>
    internal static CodeMode ModeOf(Vcpu vcpu, ushort selector)
    {
        switch (selector)
        {
            case Selector.FlatCode64:
                return CodeMode.Long64;
            case Selector.FlatCode32:
                return CodeMode.Flat32;
            default:
                return TryRead(vcpu, selector, out ulong descriptor) ? ModeOf(descriptor) : CodeMode.Unsupported;
        }
    }

    private static CodeMode ModeOf(ulong descriptor)
    {
        const ulong Needed = Code | CodeOrData | Present;
        if ((descriptor & Needed) != Needed)
        {
            return CodeMode.Unsupported;
        }

        if ((descriptor & Long) != 0)
        {
            return (descriptor & Default32) == 0 ? CodeMode.Long64 : CodeMode.Unsupported;
        }

        bool flat = (descriptor & BaseMask) == 0 && (descriptor & LimitMask) == LimitMask && (descriptor & Granularity) != 0;
        return flat && (descriptor & Default32) != 0 ? CodeMode.Flat32 : CodeMode.Unsupported;
    }

    private static bool TryRead(Vcpu vcpu, ushort selector, out ulong descriptor)
    {
        int index = selector >> DescriptorShift;
        int table = index / DescriptorsPerFrame;
        ulong frame = 0;
        if ((selector & LocalTableBit) == 0)
        {
            frame = index < vcpu.GdtEntries && table < vcpu.GdtFrames.Length ? vcpu.GdtFrames[table] : 0;
        }
        else if (index < vcpu.LdtEntries && table < vcpu.LdtFrames.Length)
        {
            frame = vcpu.LdtFrames[table];
            if (frame == 0 && LocalDescriptorTable.TryMap(vcpu, (uint)index << DescriptorShift))
            {
                frame = vcpu.LdtFrames[table];
            }
        }

        descriptor = frame == 0
            ? 0
            : PhysicalMemory.Read<ulong>((frame << Cpu.PageShift) + ((ulong)(index % DescriptorsPerFrame) << DescriptorShift));
        return frame != 0;
    }
}
