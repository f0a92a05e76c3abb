using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct mmuext_op (xen/include/public/xen.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MmuExtendedOperation
{
    /// <summary>MMUEXT_*.</summary>
    public uint Command;
    private readonly uint _padding;

    /// <summary>arg1: a machine frame or a linear address.</summary>
    public ulong Argument1;

    /// <summary>arg2: a number of entries, a pointer to a vCPU mask, or a source frame.</summary>
    public ulong Argument2;

    /// <summary>arg2.nr_ents, an unsigned int.</summary>
    public readonly uint EntryCount => (uint)Argument2;
}
