namespace Blanket.Abi.Xen;

/// <summary>Flags of grant entries (GTF_* of xen/include/public/grant_table.h).</summary>
public static class GrantTableFlags
{
    public const ushort Invalid = 0;
    public const ushort PermitAccess = 1;
    public const ushort AcceptTransfer = 2;
    public const ushort Transitive = 3;
    public const ushort TypeMask = 3;
    public const ushort ReadOnly = 1 << 2;

    /// <summary>Set by the hypervisor while the frame is in use.</summary>
    public const ushort Reading = 1 << 3;

    /// <summary>Set by the hypervisor while the frame is in use for writing.</summary>
    public const ushort Writing = 1 << 4;
    public const ushort SubPage = 1 << 8;

    /// <summary>Of <see cref="AcceptTransfer"/>: a frame is on its way.</summary>
    public const ushort TransferCommitted = 1 << 2;

    /// <summary>Of <see cref="AcceptTransfer"/>: the frame has come.</summary>
    public const ushort TransferCompleted = 1 << 3;
}
