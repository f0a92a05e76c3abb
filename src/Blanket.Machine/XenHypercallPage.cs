using System;
#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
#endif

namespace Blanket.Machine;

/// <summary>The page through which a Xen underneath is called (Assembly/xen_hypercall.S). Calls clobber nothing but what functions may.</summary>
public static unsafe class XenHypercallPage
{
#if METAL
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "xen_hypercall_page_address")]
    private static extern byte* Address();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "xen_hypercall")]
    private static extern long Call(uint number, ulong first, ulong second, ulong third, ulong fourth);

    /// <summary>Has Xen fill the page; before the first call, and again after a restore.</summary>
    /// <param name="msr">The register that Xen names in CPUID.</param>
    public static void Install(uint msr) => Cpu.WriteMsr(msr, (ulong)Address() - AddressSpace.ImageBase);
#else
    /// <summary>Does nothing on the host flavour.</summary>
    public static void Install(uint msr)
    {
    }

    private static long Call(uint number, ulong first, ulong second, ulong third, ulong fourth)
    {
        const long NotImplemented = -38;
        return NotImplemented;
    }
#endif

    /// <summary>A call of a command, the address of a structure, and a number.</summary>
    public static long CallWithStructure(uint number, ulong command, Span<byte> structure, ulong count)
    {
        fixed (byte* address = structure)
        {
            return Call(number, command, (ulong)address, count, 0);
        }
    }

    /// <summary>A call of a command, a number, and the address of a structure.</summary>
    public static long CallWithTarget(uint number, ulong command, ulong target, Span<byte> structure)
    {
        fixed (byte* address = structure)
        {
            return Call(number, command, target, (ulong)address, 0);
        }
    }
}
