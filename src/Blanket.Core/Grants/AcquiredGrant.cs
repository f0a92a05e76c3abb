namespace Blanket.Core.Grants;

/// <summary>A grant that has been acquired: the frame has a reference, and a writable type count unless the use is read-only.</summary>
internal struct AcquiredGrant
{
    public ulong Frame;

    /// <summary>First byte that may be used, and how many; start + length is at most a page.</summary>
    public ushort Start;
    public ushort Length;
}
