using System;

namespace Blanket.Drivers;

/// <summary>A bounded first-in first-out queue of bytes. Not locked.</summary>
public sealed class ByteQueue
{
    private readonly byte[] _bytes;
    private int _head;

    /// <summary>An empty queue.</summary>
    public ByteQueue(int capacity) => _bytes = new byte[capacity];

    /// <summary>Bytes in the queue.</summary>
    public int Count { get; private set; }

    /// <summary>The oldest bytes, as far as they lie in one piece; empty only when the queue is.</summary>
    public ReadOnlySpan<byte> Oldest => new(_bytes, _head, Math.Min(Count, _bytes.Length - _head));

    /// <summary>Appends as many bytes as there is room for; returns how many.</summary>
    public int Append(ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, _bytes.Length - Count);
        for (int i = 0; i < count; i++)
        {
            int position = _head + Count + i;
            _bytes[position < _bytes.Length ? position : position - _bytes.Length] = bytes[i];
        }

        Count += count;
        return count;
    }

    /// <summary>Appends all bytes; the oldest ones make room for them.</summary>
    public void AppendOverOldest(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _bytes.Length)
        {
            bytes = bytes.Slice(bytes.Length - _bytes.Length);
        }

        Remove(Math.Max(0, Count + bytes.Length - _bytes.Length));
        Append(bytes);
    }

    /// <summary>Removes the oldest bytes, at most <see cref="Count"/>.</summary>
    public void Remove(int count)
    {
        _head = (_head + count) % _bytes.Length;
        Count -= count;
    }
}
