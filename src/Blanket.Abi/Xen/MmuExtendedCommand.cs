namespace Blanket.Abi.Xen;

/// <summary>MMUEXT_*: commands of HYPERVISOR_mmuext_op (xen/include/public/xen.h).</summary>
public static class MmuExtendedCommand
{
    public const uint PinL1Table = 0;
    public const uint PinL2Table = 1;
    public const uint PinL3Table = 2;
    public const uint PinL4Table = 3;
    public const uint UnpinTable = 4;
    public const uint NewBasePointer = 5;
    public const uint TlbFlushLocal = 6;
    public const uint InvalidatePageLocal = 7;
    public const uint TlbFlushMulti = 8;
    public const uint InvalidatePageMulti = 9;
    public const uint TlbFlushAll = 10;
    public const uint InvalidatePageAll = 11;
    public const uint FlushCache = 12;
    public const uint SetLdt = 13;
    public const uint NewUserBasePointer = 15;
    public const uint ClearPage = 16;
    public const uint CopyPage = 17;
    public const uint FlushCacheGlobal = 18;
    public const uint MarkSuper = 19;
    public const uint UnmarkSuper = 20;
}
