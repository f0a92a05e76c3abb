namespace Blanket.Abi.Xen;

/// <summary>Sub-operations of HYPERVISOR_grant_table_op (GNTTABOP_* of xen/include/public/grant_table.h).</summary>
public static class GrantTableOp
{
    public const uint MapGrantReference = 0;
    public const uint UnmapGrantReference = 1;
    public const uint SetupTable = 2;
    public const uint DumpTable = 3;
    public const uint Transfer = 4;
    public const uint Copy = 5;
    public const uint QuerySize = 6;
    public const uint UnmapAndReplace = 7;
    public const uint SetVersion = 8;
    public const uint GetStatusFrames = 9;
    public const uint GetVersion = 10;
    public const uint SwapGrantReference = 11;
    public const uint CacheFlush = 12;

    /// <summary>Bits of the sub-operation; a preempted cache flush keeps its progress in the bits above.</summary>
    public const uint CommandMask = (1u << ProgressShift) - 1;

    /// <summary>First bit of that progress.</summary>
    public const int ProgressShift = 12;
}
