using System;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>Byte strings of any length in equal chunks, so that memory never fragments.</summary>
internal sealed class ByteChains
{
    private readonly Slab<Chunk> _chunks;

    /// <summary>An empty pool of at most <paramref name="maximumChunks"/> chunks.</summary>
    internal ByteChains(int maximumChunks)
    {
        _chunks = new Slab<Chunk>(maximumChunks);
    }

    /// <summary>Chunks in use.</summary>
    internal int Count => _chunks.Used;

    /// <summary>Bytes of memory that a string of <paramref name="length"/> bytes takes.</summary>
    internal static int Footprint(int length) => (length + Chunk.Size - 1) / Chunk.Size * Chunk.Footprint;

    /// <summary>Makes a string; false, with nothing taken, when memory is out.</summary>
    internal bool TryCreate(ReadOnlySpan<byte> bytes, out Chain chain)
    {
        chain = Chain.Empty;
        return TryAppend(ref chain, bytes);
    }

    /// <summary>Makes a second string of the same bytes; false, with nothing taken, when memory is out.</summary>
    internal bool TryCopy(Chain source, out Chain copy)
    {
        copy = Chain.Empty;
        int chunk = source.First;
        for (int left = source.Length; left > 0; left -= Chunk.Size)
        {
            // Appending a full chunk at a time keeps both strings in step; the source does not move meanwhile.
            ReadOnlySpan<byte> piece = _chunks[chunk].Bytes;
            if (!TryAppend(ref copy, piece[..Math.Min(left, Chunk.Size)]))
            {
                Free(ref copy);
                return false;
            }

            chunk = _chunks[chunk].Next;
        }

        return true;
    }

    /// <summary>Adds bytes at the end; false, with nothing changed, when memory is out.</summary>
    internal bool TryAppend(ref Chain chain, ReadOnlySpan<byte> bytes)
    {
        int oldLength = chain.Length;
        int last = Last(chain);
        while (!bytes.IsEmpty)
        {
            int used = chain.Length % Chunk.Size;
            if (used == 0 && !TryLinkChunk(ref chain, ref last))
            {
                Truncate(ref chain, oldLength);
                return false;
            }

            int count = Math.Min(bytes.Length, Chunk.Size - used);
            Span<byte> target = _chunks[last].Bytes;
            bytes[..count].CopyTo(target[used..]);
            bytes = bytes[count..];
            chain.Length += count;
        }

        return true;
    }

    /// <summary>Gives the string's memory back and makes it empty.</summary>
    internal void Free(ref Chain chain) => Truncate(ref chain, 0);

    /// <summary>Copies bytes from an offset on, as many as there are and fit; returns how many.</summary>
    internal int Read(Chain chain, int offset, Span<byte> destination)
    {
        int total = Math.Min(destination.Length, chain.Length - offset);
        int chunk = Seek(chain, offset);
        int within = offset % Chunk.Size;
        int done = 0;
        while (done < total)
        {
            ReadOnlySpan<byte> source = _chunks[chunk].Bytes;
            int count = Math.Min(total - done, Chunk.Size - within);
            source.Slice(within, count).CopyTo(destination[done..]);
            done += count;
            within = 0;
            chunk = _chunks[chunk].Next;
        }

        return done;
    }

    /// <summary>Whether the string is exactly these bytes.</summary>
    internal bool AreEqual(Chain chain, ReadOnlySpan<byte> bytes)
    {
        if (chain.Length != bytes.Length)
        {
            return false;
        }

        int chunk = chain.First;
        while (!bytes.IsEmpty)
        {
            ReadOnlySpan<byte> piece = _chunks[chunk].Bytes;
            int count = Math.Min(bytes.Length, Chunk.Size);
            if (!piece[..count].SequenceEqual(bytes[..count]))
            {
                return false;
            }

            bytes = bytes[count..];
            chunk = _chunks[chunk].Next;
        }

        return true;
    }

    /// <summary>Whether two strings have the same bytes.</summary>
    internal bool AreEqual(Chain left, Chain right)
    {
        if (left.Length != right.Length)
        {
            return false;
        }

        int leftChunk = left.First;
        int rightChunk = right.First;
        for (int remaining = left.Length; remaining > 0; remaining -= Chunk.Size)
        {
            int count = Math.Min(remaining, Chunk.Size);
            ReadOnlySpan<byte> leftPiece = _chunks[leftChunk].Bytes;
            ReadOnlySpan<byte> rightPiece = _chunks[rightChunk].Bytes;
            if (!leftPiece[..count].SequenceEqual(rightPiece[..count]))
            {
                return false;
            }

            leftChunk = _chunks[leftChunk].Next;
            rightChunk = _chunks[rightChunk].Next;
        }

        return true;
    }

    /// <summary>Length of the zero-terminated string at an offset, without its terminator.</summary>
    internal int StringLength(Chain chain, int offset)
    {
        int chunk = Seek(chain, offset);
        int position = offset;
        while (position < chain.Length && _chunks[chunk].Bytes[position % Chunk.Size] != 0)
        {
            position++;
            if (position % Chunk.Size == 0)
            {
                chunk = _chunks[chunk].Next;
            }
        }

        return position - offset;
    }

    /// <summary>Takes bytes out of the middle; what follows moves down. Never needs memory.</summary>
    internal void RemoveRange(ref Chain chain, int offset, int count)
    {
        int source = offset + count;
        int sourceChunk = Seek(chain, source);
        int target = offset;
        int targetChunk = Seek(chain, target);
        while (source < chain.Length)
        {
            _chunks[targetChunk].Bytes[target % Chunk.Size] = _chunks[sourceChunk].Bytes[source % Chunk.Size];
            target++;
            if (target % Chunk.Size == 0)
            {
                targetChunk = _chunks[targetChunk].Next;
            }

            source++;
            if (source % Chunk.Size == 0)
            {
                sourceChunk = _chunks[sourceChunk].Next;
            }
        }

        Truncate(ref chain, target);
    }

    private bool TryLinkChunk(ref Chain chain, ref int last)
    {
        if (!_chunks.TryAllocate(out int chunk))
        {
            return false;
        }

        _chunks[chunk].Next = Link.None;
        if (last == Link.None)
        {
            chain.First = chunk;
        }
        else
        {
            _chunks[last].Next = chunk;
        }

        last = chunk;
        return true;
    }

    private void Truncate(ref Chain chain, int length)
    {
        int keep = (length + Chunk.Size - 1) / Chunk.Size;
        int chunk = chain.First;
        if (keep == 0)
        {
            chain.First = Link.None;
        }

        for (int i = 0; chunk != Link.None; i++)
        {
            int next = _chunks[chunk].Next;
            if (i >= keep)
            {
                _chunks.Free(chunk);
            }
            else if (i == keep - 1)
            {
                _chunks[chunk].Next = Link.None;
            }

            chunk = next;
        }

        chain.Length = length;
    }

    /// <summary>The chunk that holds the byte at an offset, or <see cref="Link.None"/> at the end.</summary>
    private int Seek(Chain chain, int offset)
    {
        int chunk = chain.First;
        for (int i = offset / Chunk.Size; i > 0 && chunk != Link.None; i--)
        {
            chunk = _chunks[chunk].Next;
        }

        return chunk;
    }

    private int Last(Chain chain)
    {
        int last = Link.None;
        for (int chunk = chain.First; chunk != Link.None; chunk = _chunks[chunk].Next)
        {
            last = chunk;
        }

        return last;
    }
}
