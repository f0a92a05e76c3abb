using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>
/// What the kernel knows of its domain: start of day, frames, and where everything is. After <see cref="Initialize"/> every
/// pseudo-physical frame is mapped at <see cref="Home"/>, writable but for the page tables of the boot.
/// </summary>
internal static unsafe class Domain
{
    internal const ulong VirtualBase = 0xffff_ffff_8000_0000;

    /// <summary>Where the hypervisor's addresses start and end.</summary>
    internal const ulong HypervisorStart = 0xffff_8000_0000_0000;
    internal const ulong HypervisorEnd = 0xffff_8800_0000_0000;

    private const ulong MachineToPhysical = HypervisorStart;

    private static StartInfo* s_start;
    private static byte* s_shared;
    private static ulong s_nextFrame;

    internal static ref StartInfo Start => ref *s_start;

    /// <summary>The shared info page.</summary>
    internal static byte* Shared => s_shared;

    /// <summary>Pseudo-physical frames, all of them memory at the start.</summary>
    internal static ulong FrameCount => s_start->PageCount;

    /// <summary>First frame that <see cref="Take"/> has not given out yet.</summary>
    internal static ulong NextFrame => s_nextFrame;

    /// <summary>Machine frame of the kernel's root table.</summary>
    internal static ulong RootFrame => MachineOf(PseudoPhysicalOf(s_start->PageTableBase));

    /// <summary>Pseudo-physical frames of the page tables that the domain builder made, without those of <see cref="MapAll"/>.</summary>
    internal static ulong FirstBootTable => PseudoPhysicalOf(s_start->PageTableBase);

    internal static void Initialize(StartInfo* start)
    {
        s_start = start;
        s_shared = (byte*)(VirtualBase + 0x1000);
        Hypercall.UpdateMapping((ulong)s_shared, s_start->SharedInfo | PageEntry.ReadWritePage);

        // Behind the page tables stands the boot stack, a page.
        s_nextFrame = PseudoPhysicalOf(start->PageTableBase) + start->PageTableFrames + 1;
        Vcpus.Initialize();
    }

    internal static ulong PseudoPhysicalOf(ulong address) => (address - VirtualBase) >> PageEntry.PageShift;

    /// <summary>Linear address of a pseudo-physical frame.</summary>
    internal static ulong Home(ulong pfn) => VirtualBase + (pfn << PageEntry.PageShift);

    internal static ref ulong MachineOf(ulong pfn) => ref ((ulong*)s_start->P2MList)[pfn];

    internal static ulong PseudoPhysicalOfMachine(ulong mfn) => ((ulong*)MachineToPhysical)[mfn];

    /// <summary>Machine frame of a linear address at home.</summary>
    internal static ulong MachineOfAddress(ulong address) => MachineOf(PseudoPhysicalOf(address));

    internal static VcpuInfo* Info(int vcpu) => (VcpuInfo*)(s_shared + vcpu * VcpuInfo.Size);

    /// <summary>A frame that nobody uses, mapped writable at home, zeroed.</summary>
    internal static ulong Take()
    {
        if (s_nextFrame >= FrameCount)
        {
            Output.Line("testkernel: out of frames"u8);
            Shutdown(ShutdownReason.Crash);
        }

        return s_nextFrame++;
    }

    /// <summary>Takes a frame and tells its address.</summary>
    internal static ulong* TakePage() => (ulong*)Home(Take());

    /// <summary>Gives back what was taken since <paramref name="mark"/>.</summary>
    internal static void GiveBack(ulong mark) => s_nextFrame = mark;

    /// <summary>Maps a frame at home.</summary>
    internal static long SetHome(ulong pfn, ulong flags) => Hypercall.UpdateMapping(Home(pfn), flags == 0 ? 0 : PageEntry.Make(MachineOf(pfn), flags));

    /// <summary>The entry of a level in the way to an address; 4 is the root.</summary>
    internal static ulong* Entry(ulong address, int level)
    {
        ulong* table = (ulong*)s_start->PageTableBase;
        for (int at = 4; ; at--)
        {
            ulong* entry = table + ((address >> (PageEntry.PageShift + 9 * (at - 1))) & 0x1ff);
            if (at == level)
            {
                return entry;
            }

            table = (ulong*)Home(PseudoPhysicalOfMachine(PageEntry.FrameOf(*entry)));
        }
    }

    /// <summary>Machine address of an entry.</summary>
    internal static ulong MachineAddress(ulong* entry) =>
        MachineOfAddress((ulong)entry) << PageEntry.PageShift | ((ulong)entry & (PageEntry.PageSize - 1));

    /// <summary>Maps what the domain builder left unmapped. The tables come from the pages that it mapped to spare.</summary>
    internal static void MapAll()
    {
        const ulong frames = PageEntry.EntriesPerTable;
        for (ulong first = 0; first < FrameCount; first += frames)
        {
            ulong* upper = Entry(Home(first), 2);
            if (*upper != 0)
            {
                continue;
            }

            ulong pfn = Take();
            ulong* table = (ulong*)Home(pfn);
            for (ulong i = 0; i < frames && first + i < FrameCount; i++)
            {
                table[i] = PageEntry.Make(MachineOf(first + i), PageEntry.ReadWritePage);
            }

            Require(SetHome(pfn, PageEntry.ReadOnlyPage));
            Require(Hypercall.MmuUpdate(MachineAddress(upper), PageEntry.Make(MachineOf(pfn), PageEntry.Table)));
        }
    }

    internal static void Require(long result)
    {
        if (result != 0)
        {
            Output.Text("testkernel: a hypercall that has to succeed returned "u8);
            Output.Number(result);
            Output.End();
            Shutdown(ShutdownReason.Crash);
        }
    }

    internal static void Shutdown(ShutdownReason reason)
    {
        uint argument = (uint)reason;
        Output.Drain();
        while (true)
        {
            Hypercall.Sched(SchedOp.Shutdown, &argument);
        }
    }

    /// <summary>Does nothing any more, whatever is asked of it.</summary>
    internal static void Sleep()
    {
        // No port and no time: nothing ends it.
        SchedPoll poll = default;
        while (true)
        {
            Hypercall.Sched(SchedOp.Poll, &poll);
        }
    }

    internal static void Yield() => Hypercall.Sched(SchedOp.Yield, null);

    /// <summary>Takes an event channel's pending bit off.</summary>
    internal static void ClearPending(uint port)
    {
        const int bits = 64;
        Interlocked.And(ref ((ulong*)(s_shared + SharedInfo.EventPendingOffset))[port / bits], ~(1UL << (int)(port % bits)));
    }

    /// <summary>Gives up the CPU until an event channel is pending.</summary>
    internal static void Poll(uint port)
    {
        SchedPoll poll = default;
        poll.Ports = (ulong)(&port);
        poll.PortCount = 1;
        Hypercall.Sched(SchedOp.Poll, &poll);
    }
}
