using System.Runtime.InteropServices;

namespace Blanket.Core.Grants;

/// <summary>What is remembered of a grant that is in use: the entry itself is the guest's, who may change it any time; 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ActiveGrant
{
    /// <summary>Numbers of writable and read-only host and device uses (<see cref="GrantUse"/>); 0 when not in use.</summary>
    public ulong Pins;

    /// <summary>The frame.</summary>
    public ulong Frame;

    /// <summary>The domain that uses it.</summary>
    public ushort Grantee;

    /// <summary>First byte that may be used.</summary>
    public ushort Start;

    /// <summary>Bytes that may be used.</summary>
    public ushort Length;

    /// <summary>Not the whole page, or transitive: it cannot be mapped, and keeps the table at version 2.</summary>
    public byte IsPartial;
    private readonly byte _padding0;

    /// <summary>Owner of <see cref="Frame"/>: another domain for a transitive grant.</summary>
    public ushort FrameOwner;
    private readonly ushort _padding1;

    /// <summary>The grant in <see cref="FrameOwner"/>'s table that a transitive grant passes on.</summary>
    public uint OwnerReference;
}
