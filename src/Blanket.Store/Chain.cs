using System.Runtime.CompilerServices;

namespace Blanket.Store;

/// <summary>A byte string in chunks of <see cref="ByteChains"/>.</summary>
internal struct Chain
{
    /// <summary>First chunk, or <see cref="Link.None"/> when empty.</summary>
    internal int First;

    /// <summary>Bytes.</summary>
    internal int Length;

    /// <summary>The empty string.</summary>
    internal static Chain Empty => new() { First = Link.None };
}

/// <summary>Bytes of one chunk.</summary>
[InlineArray(Chunk.Size)]
internal struct ChunkBytes
{
    private byte _first;
}

/// <summary>A piece of a <see cref="Chain"/>: 64 bytes with its link.</summary>
internal struct Chunk
{
    /// <summary>Payload bytes of a chunk.</summary>
    internal const int Size = 60;

    /// <summary>Bytes that a chunk takes.</summary>
    internal const int Footprint = 64;

    /// <summary>Next chunk of the chain, or <see cref="Link.None"/>.</summary>
    internal int Next;

    /// <summary>The payload.</summary>
    internal ChunkBytes Bytes;
}
