using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct gnttab_map_grant_ref (xen/include/public/grant_table.h); 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantMapArgument
{
    public ulong HostAddress;

    /// <summary>GNTMAP_*.</summary>
    public uint Flags;
    public uint Reference;
    public ushort Domain;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;

    /// <summary>Out: what unmapping wants to know.</summary>
    public uint Handle;

    /// <summary>Out.</summary>
    public ulong DeviceBusAddress;
}

/// <summary>struct gnttab_unmap_grant_ref; 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantUnmapArgument
{
    /// <summary>Offset of <see cref="Status"/>.</summary>
    public const int StatusOffset = 20;

    public ulong HostAddress;
    public ulong DeviceBusAddress;
    public uint Handle;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;
    public ushort Padding0;
}

/// <summary>struct gnttab_unmap_and_replace; 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantUnmapAndReplaceArgument
{
    public ulong HostAddress;

    /// <summary>Linear address whose entry is moved to <see cref="HostAddress"/>.</summary>
    public ulong NewAddress;
    public uint Handle;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;
    public ushort Padding0;
}

/// <summary>struct gnttab_setup_table; 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantSetupArgument
{
    /// <summary>Offset of <see cref="Status"/>.</summary>
    public const int StatusOffset = 8;

    public ushort Domain;
    public ushort Padding0;
    public uint FrameCount;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;
    public ushort Padding1;
    public uint Padding2;

    /// <summary>Guest address of an array of frame numbers, filled in.</summary>
    public ulong FrameList;
}

/// <summary>struct gnttab_get_status_frames; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantStatusFramesArgument
{
    /// <summary>Offset of <see cref="Status"/>.</summary>
    public const int StatusOffset = 6;

    public uint FrameCount;
    public ushort Domain;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;

    /// <summary>Guest address of an array of frame numbers, filled in.</summary>
    public ulong FrameList;
}

/// <summary>struct gnttab_query_size; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantQuerySizeArgument
{
    public ushort Domain;
    public ushort Padding0;

    /// <summary>Out.</summary>
    public uint Frames;

    /// <summary>Out.</summary>
    public uint MaximumFrames;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;
    public ushort Padding1;
}

/// <summary>struct gnttab_transfer; 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantTransferArgument
{
    /// <summary>Offset of <see cref="Status"/>.</summary>
    public const int StatusOffset = 16;

    public ulong Frame;
    public ushort Domain;
    public ushort Padding0;
    public uint Reference;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;
    public ushort Padding1;
    public uint Padding2;
}

/// <summary>struct gnttab_copy_ptr; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantCopyPointer
{
    /// <summary>u.gmfn; u.ref in the low 32 bits.</summary>
    public ulong Frame;
    public ushort Domain;
    public ushort Offset;
    public uint Padding0;

    /// <summary>u.ref.</summary>
    public readonly uint Reference => unchecked((uint)Frame);
}

/// <summary>struct gnttab_copy; 40 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantCopyArgument
{
    /// <summary>GNTCOPY_source_gref: the source is a grant.</summary>
    public const ushort SourceIsGrant = 1 << 0;

    /// <summary>GNTCOPY_dest_gref: the destination is a grant.</summary>
    public const ushort DestinationIsGrant = 1 << 1;

    /// <summary>Offset of <see cref="Status"/>.</summary>
    public const int StatusOffset = 36;

    public GrantCopyPointer Source;
    public GrantCopyPointer Destination;
    public ushort Length;

    /// <summary>GNTCOPY_*.</summary>
    public ushort Flags;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;
    public ushort Padding0;
}

/// <summary>struct gnttab_get_version; 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantVersionArgument
{
    /// <summary>Offset of <see cref="Version"/>.</summary>
    public const int VersionOffset = 4;

    public ushort Domain;
    public ushort Padding0;

    /// <summary>Out.</summary>
    public uint Version;
}

/// <summary>struct gnttab_swap_grant_ref; 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantSwapArgument
{
    /// <summary>Offset of <see cref="Status"/>.</summary>
    public const int StatusOffset = 8;

    public uint ReferenceA;
    public uint ReferenceB;

    /// <summary>Out: GNTST_*.</summary>
    public short Status;
    public ushort Padding0;
}

/// <summary>struct gnttab_cache_flush; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GrantCacheFlushArgument
{
    /// <summary>GNTTAB_CACHE_CLEAN.</summary>
    public const uint Clean = 1u << 0;

    /// <summary>GNTTAB_CACHE_INVAL.</summary>
    public const uint Invalidate = 1u << 1;

    /// <summary>a.dev_bus_addr.</summary>
    public ulong DeviceBusAddress;
    public ushort Offset;
    public ushort Length;
    public uint Operation;
}
