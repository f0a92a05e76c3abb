using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Blanket.TestKernel;

/// <summary>The record of a vCPU at the bottom of its region (Assembly/start.S); the stack pointer leads to it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VcpuRegion
{
    /// <summary>Bytes and alignment of a region.</summary>
    internal const ulong Size = 0x10000;

    /// <summary>Regions that there are.</summary>
    internal const int Count = 8;

    internal ulong Recovery;

    /// <summary>How the last guarded call ended: a vector, or one of <see cref="Trap"/>'s.</summary>
    internal ulong Vector;
    internal ulong ErrorCode;
    internal ulong Rip;
    internal ulong Rsp;
    internal ulong Cs;
    internal ulong Flags;

    /// <summary>Number of the vCPU.</summary>
    internal int Number;

    /// <summary>Upcalls that this vCPU took.</summary>
    internal int Upcalls;

    /// <summary>State of <see cref="Dice"/>.</summary>
    internal ulong Seed;

    /// <summary>Address of this vCPU's pages for arguments of the fuzzer; the page behind them is not mapped.</summary>
    internal ulong Scratch;

    /// <summary>Where this vCPU's vcpu_info is.</summary>
    internal Blanket.Abi.Xen.VcpuInfo* Info;

    /// <summary>Pseudo-physical frame of a root table that nobody but this vCPU fills.</summary>
    internal ulong RootPage;

    /// <summary>The region of the vCPU that runs this.</summary>
    internal static VcpuRegion* Current => (VcpuRegion*)(StackPointer() & ~(Size - 1));

    /// <summary>The region of a vCPU.</summary>
    internal static VcpuRegion* Of(int vcpu) => (VcpuRegion*)(Regions() + (ulong)vcpu * Size);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "stack_pointer")]
    private static extern ulong StackPointer();

    /// <summary>Where a secondary vCPU starts.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "vcpu_start_address")]
    internal static extern ulong Entry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "vcpu_regions_address")]
    private static extern ulong Regions();
}
