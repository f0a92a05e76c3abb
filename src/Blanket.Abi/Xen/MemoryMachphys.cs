using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct xen_machphys_mapping (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryMachphysMapping
{
    /// <summary>First linear address of the machine-to-physical table.</summary>
    public ulong Start;

    /// <summary>First linear address after it.</summary>
    public ulong End;

    /// <summary>Highest machine frame that has an entry.</summary>
    public ulong MaximumFrame;
}

/// <summary>struct xen_machphys_mfn_list (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryMachphysList
{
    /// <summary>Entries that fit.</summary>
    public uint MaximumExtents;
    private readonly uint _padding0;

    /// <summary>Linear address of an array of frame numbers, one for every 2 MiB of the table.</summary>
    public ulong ExtentStart;

    /// <summary>Entries stored.</summary>
    public uint ExtentCount;
    private readonly uint _padding1;
}
