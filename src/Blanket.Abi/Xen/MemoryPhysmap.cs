using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct xen_add_to_physmap (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryAddToPhysmap
{
    /// <summary>XENMAPSPACE_shared_info.</summary>
    public const uint SpaceSharedInfo = 0;

    /// <summary>XENMAPSPACE_grant_table.</summary>
    public const uint SpaceGrantTable = 1;

    /// <summary>XENMAPSPACE_gmfn_foreign.</summary>
    public const uint SpaceForeign = 4;

    public ushort DomainId;
    public ushort Size;
    public uint Space;
    public ulong Index;
    public ulong Frame;
}

/// <summary>struct xen_add_to_physmap_batch (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryAddToPhysmapBatch
{
    /// <summary>XENMAPSPACE_gmfn_range.</summary>
    public const ushort SpaceRange = 3;

    public ushort DomainId;
    public ushort Space;
    public ushort Size;
    public ushort Extra;
    public ulong Indexes;
    public ulong Frames;
    public ulong Errors;
}
