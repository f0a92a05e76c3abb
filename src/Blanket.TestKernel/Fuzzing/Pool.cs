using System.Threading;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>
/// The frames that the fuzzer plays with. The kernel itself lives in others, which it offers to the hypervisor only where nothing that the
/// hypervisor may rightly do with them would end the kernel.
/// </summary>
internal static unsafe class Pool
{
    /// <summary>Frames that operations meet on: few, so that they get in each other's way.</summary>
    internal const int Hot = 48;

    /// <summary>The machine frame of a pool frame that was given away.</summary>
    internal const ulong None = ulong.MaxValue;

    private static ulong s_first;
    private static ulong s_limit;
    private static ulong s_machineLimit;
    private static ulong s_grantFrame;

    // What is known of a hot frame, by its number: pinned by the fuzzer; mapped writable at home and nowhere else known.
    private static Flags s_pinned;
    private static Flags s_writable;

    /// <summary>The only one who plays: what is known of a frame is true.</summary>
    internal static bool IsAlone { get; set; }

    [System.Runtime.CompilerServices.InlineArray(Hot)]
    private struct Flags
    {
        private byte _first;
    }

    /// <summary>Makes all frames that nobody has taken expendable.</summary>
    /// <param name="grantFrame">First frame of the grant table.</param>
    internal static void Initialize(ulong grantFrame)
    {
        s_first = Domain.NextFrame;
        s_limit = Domain.FrameCount;
        s_machineLimit = (ulong)Hypercall.Memory(MemoryCommand.MaximumRamPage, null);
        s_grantFrame = grantFrame;
        IsAlone = Vcpus.Count == 1;
        for (int i = 0; i < Hot; i++)
        {
            s_writable[i] = 1;
        }
    }

    /// <summary>The number of a hot frame.</summary>
    internal static int Pick() => (int)Dice.Below(Hot);

    internal static ulong Pfn(int hot) => s_first + (uint)hot;

    internal static ulong Mfn(int hot) => Volatile.Read(ref Domain.MachineOf(Pfn(hot)));

    internal static ulong Address(int hot) => Domain.Home(Pfn(hot));

    internal static ref byte Pinned(int hot) => ref s_pinned[hot];

    internal static ref byte Writable(int hot) => ref s_writable[hot];

    /// <summary>Machine address of the L1 entry that maps a hot frame's home.</summary>
    internal static ulong HomeEntry(int hot) => Domain.MachineAddress(Domain.Entry(Address(hot), 1));

    /// <summary>A frame that the hypervisor may write to, give away or refuse.</summary>
    internal static ulong ExpendableFrame()
    {
        switch (Dice.Below(16))
        {
            case 0:
                return Domain.MachineOf(s_first + Hot + Dice.Below((uint)(s_limit - s_first - Hot)));
            case 1:
                return ForeignFrame();
            case 2:
                return Special();
            default:
                return Mfn(Pick());
        }
    }

    /// <summary>Any frame number, those of the kernel among them.</summary>
    internal static ulong AnyFrame()
    {
        switch (Dice.Below(12))
        {
            case 0:
                return Domain.MachineOf(Domain.FirstBootTable + Dice.Below((uint)Domain.Start.PageTableFrames));
            case 1:
                return Domain.MachineOf(Dice.Below((uint)s_first));
            default:
                return ExpendableFrame();
        }
    }

    /// <summary>A page-table entry: plausible, or a little wrong.</summary>
    internal static ulong AnyEntry()
    {
        if (Dice.Once(6))
        {
            return 0;
        }

        ulong flags = PageEntry.Present | PageEntry.User | PageEntry.Accessed;
        switch (Dice.Below(8))
        {
            case 0:
                flags |= Dice.Next() & 0xfff;
                break;
            case 1:
                flags |= 1UL << (int)Dice.Below(64);
                break;
            case 2:
                flags &= ~PageEntry.Present;
                break;
            default:
                break;
        }

        if (Dice.Once(2))
        {
            flags |= PageEntry.Writable;
        }

        // The kernel's own frames must not become writable where the fuzzer writes.
        ulong frame = (flags & PageEntry.Writable) != 0 ? ExpendableFrame() : AnyFrame();
        return frame << PageEntry.PageShift | flags;
    }

    /// <summary>A linear address: of a hot frame, of the scratch pages, or one that is not the guest's or not there.</summary>
    internal static ulong AnyAddress()
    {
        switch (Dice.Below(12))
        {
            case 0:
                return VcpuRegion.Current->Scratch + 2 * PageEntry.PageSize - Dice.Below(64);
            case 1:
                return Domain.HypervisorStart + (Dice.Next() & 0x7ff_ffff_ffffUL);
            case 2:
                return 0x8000_0000_0000UL + Dice.Below(4096);
            case 3:
                return Dice.Below(8192);
            case 4:
                return unchecked(0UL - Dice.Below(4096));
            case 5:
                return 0xffff_8000_0000_0000 - Dice.Below(64);
            case 6:
                return VcpuRegion.Current->Scratch + Dice.Below(4096);
            default:
                return Address(Pick()) + (Dice.Once(2) ? Dice.Below(4096) : 0);
        }
    }

    /// <summary>Looks up which hot frames the domain still has.</summary>
    internal static void Resynchronise()
    {
        for (int hot = 0; hot < Hot; hot++)
        {
            // Another vCPU may be getting a new one for it.
            ulong mfn = Mfn(hot);
            if (mfn != None && Domain.PseudoPhysicalOfMachine(mfn) != Pfn(hot)
                && Interlocked.CompareExchange(ref Domain.MachineOf(Pfn(hot)), None, mfn) == mfn)
            {
                Pinned(hot) = 0;
                Writable(hot) = 0;
            }
        }
    }

    /// <summary>A hot frame was got.</summary>
    internal static void Gain(int hot, ulong mfn)
    {
        Volatile.Write(ref Domain.MachineOf(Pfn(hot)), mfn);
        Pinned(hot) = 0;
        Writable(hot) = 0;
    }

    private static ulong ForeignFrame()
    {
        ulong mfn = Dice.Next() % s_machineLimit;
        ulong pfn = Domain.PseudoPhysicalOfMachine(mfn);
        return pfn < s_first && Domain.MachineOf(pfn) == mfn ? s_machineLimit : mfn;
    }

    private static ulong Special()
    {
        switch (Dice.Below(8))
        {
            case 0:
                return Domain.Start.SharedInfo >> PageEntry.PageShift;
            case 1:
                return s_grantFrame;
            case 2:
                return 0xb8;
            case 3:
                return 0xfee00;
            case 4:
                return s_machineLimit;
            case 5:
                return ulong.MaxValue;
            case 6:
                return (1UL << 40) - 1;
            default:
                return 0;
        }
    }
}
