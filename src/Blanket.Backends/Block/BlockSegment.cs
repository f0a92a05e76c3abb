using Blanket.Core.Grants;

namespace Blanket.Backends;

/// <summary>A piece of a guest's page that a request reads from or writes to; pinned for exactly the time of the request.</summary>
internal struct BlockSegment
{
    /// <summary>Next segment of the request, or <see cref="BlockRing.None"/>.</summary>
    internal int Next;

    /// <summary>Offset in the page, in bytes.</summary>
    internal ushort Offset;

    /// <summary>Bytes.</summary>
    internal ushort Length;

    /// <summary>The page.</summary>
    internal PinnedGrant Pin;
}
