using System;
using System.Collections.Generic;

namespace Blanket.Cli.Running;

/// <summary>The last bytes of a console, to be shown when the user switches to it.</summary>
internal sealed class Scrollback
{
    /// <summary>Bytes that are kept.</summary>
    internal const int Capacity = 32 << 10;

    private readonly Queue<byte[]> _pieces = new();
    private int _length;

    /// <summary>Adds bytes; the oldest ones go.</summary>
    internal void Add(ReadOnlySpan<byte> bytes)
    {
        byte[] piece = bytes.Length > Capacity ? bytes[^Capacity..].ToArray() : bytes.ToArray();
        _pieces.Enqueue(piece);
        _length += piece.Length;
        while (_length > Capacity)
        {
            _length -= _pieces.Dequeue().Length;
        }
    }

    /// <summary>What is kept, oldest first.</summary>
    internal byte[] ToArray()
    {
        byte[] all = new byte[_length];
        int position = 0;
        foreach (byte[] piece in _pieces)
        {
            piece.CopyTo(all, position);
            position += piece.Length;
        }

        return all;
    }
}
