using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Blanket.Kernel.Platform;

/// <summary>
/// A set of physical addresses as sorted, disjoint, non-adjacent ranges in a fixed array. What does not fit any more is left out of
/// the set, never added to it: memory may be lost to a map with too many holes, but none is used that is not there.
/// </summary>
public struct MemoryRanges
{
    /// <summary>The most ranges of a set.</summary>
    public const int Capacity = 128;

    [InlineArray(Capacity)]
    private struct Entries
    {
        private PhysicalRange _first;
    }

    private Entries _entries;
    private int _count;

    /// <summary>Number of ranges.</summary>
    public readonly int Count => _count;

    /// <summary>A range by its place in rising order.</summary>
    [UnscopedRef]
    public readonly ref readonly PhysicalRange this[int index]
    {
        get
        {
            Machine.Check.That((uint)index < (uint)_count);
            return ref _entries[index];
        }
    }

    /// <summary>Bytes in the set.</summary>
    public readonly ulong TotalLength
    {
        get
        {
            ulong total = 0;
            for (int i = 0; i < _count; i++)
            {
                total += _entries[i].Length;
            }

            return total;
        }
    }

    /// <summary>First address above all ranges; 0 when the set is empty.</summary>
    public readonly ulong End => _count == 0 ? 0 : _entries[_count - 1].End;

    /// <summary>Makes the set empty.</summary>
    public void Clear() => _count = 0;

    /// <summary>Adds a range; it may overlap what is there.</summary>
    /// <returns>False when there is no room for it.</returns>
    public bool TryAdd(PhysicalRange range)
    {
        if (range.IsEmpty)
        {
            return true;
        }

        // [first, last) are the ranges that overlap or touch the new one: they become one with it.
        int first = 0;
        while (first < _count && _entries[first].End < range.Start)
        {
            first++;
        }

        int last = first;
        ulong start = range.Start, end = range.End;
        while (last < _count && _entries[last].Start <= range.End)
        {
            start = System.Math.Min(start, _entries[last].Start);
            end = System.Math.Max(end, _entries[last].End);
            last++;
        }

        if (first == last && _count == Capacity)
        {
            return false;
        }

        ReplaceWith(first, last, new PhysicalRange(start, end));
        return true;
    }

    /// <summary>Takes every address of a range out of the set.</summary>
    /// <returns>False when a range had to be split and there was room for the larger part only.</returns>
    public bool Remove(PhysicalRange range)
    {
        bool complete = true;
        if (range.IsEmpty)
        {
            return complete;
        }

        for (int i = 0; i < _count; i++)
        {
            PhysicalRange entry = _entries[i];
            if (!entry.Overlaps(range))
            {
                continue;
            }

            PhysicalRange below = new(entry.Start, System.Math.Max(entry.Start, System.Math.Min(entry.End, range.Start)));
            PhysicalRange above = new(System.Math.Min(entry.End, System.Math.Max(entry.Start, range.End)), entry.End);
            if (below.IsEmpty && above.IsEmpty)
            {
                CloseGap(i, i + 1);
                i--;
            }
            else if (below.IsEmpty || above.IsEmpty)
            {
                _entries[i] = below.IsEmpty ? above : below;
            }
            else if (_count < Capacity)
            {
                OpenGap(i);
                _entries[i] = below;
                _entries[i + 1] = above;
                break;
            }
            else
            {
                _entries[i] = below.Length >= above.Length ? below : above;
                complete = false;
                break;
            }
        }

        return complete;
    }

    /// <summary>Takes out every address that is in the other set.</summary>
    /// <returns>False when there was no room for all parts that remain.</returns>
    public bool Remove(in MemoryRanges other)
    {
        bool complete = true;
        for (int i = 0; i < other._count; i++)
        {
            complete &= Remove(other._entries[i]);
        }

        return complete;
    }

    /// <summary>Takes the highest block of a length out of the set.</summary>
    /// <param name="length">Bytes, not 0.</param>
    /// <param name="alignment">Of the block's start; a power of two.</param>
    /// <param name="limit">The block ends at or below this address.</param>
    /// <param name="start">The block.</param>
    /// <returns>False when there is no such block.</returns>
    public bool TryTake(ulong length, ulong alignment, ulong limit, out ulong start)
    {
        for (int i = _count - 1; i >= 0; i--)
        {
            ulong end = System.Math.Min(_entries[i].End, limit);
            if (end < length || end <= _entries[i].Start)
            {
                continue;
            }

            start = (end - length) & ~(alignment - 1);
            if (start >= _entries[i].Start)
            {
                // A full set may lose the smaller of the two parts that remain; the block itself is taken either way.
                Remove(new PhysicalRange(start, start + length));
                return true;
            }
        }

        start = 0;
        return false;
    }

    /// <summary>Whether every address of a range is in the set; never so for an empty range.</summary>
    public readonly bool Covers(PhysicalRange range)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_entries[i].Covers(range))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The part of a range that is in the set together with its first byte; empty when that is not in the set.</summary>
    public readonly PhysicalRange CoveredPart(PhysicalRange range)
    {
        for (int i = 0; i < _count && !range.IsEmpty; i++)
        {
            if (_entries[i].Start <= range.Start && range.Start < _entries[i].End)
            {
                return new PhysicalRange(range.Start, range.End < _entries[i].End ? range.End : _entries[i].End);
            }
        }

        return default;
    }

    /// <summary>Whether any address of a range is in the set.</summary>
    public readonly bool Overlaps(PhysicalRange range)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_entries[i].Overlaps(range))
            {
                return true;
            }
        }

        return false;
    }

    private void ReplaceWith(int first, int last, PhysicalRange range)
    {
        if (first == last)
        {
            OpenGap(first);
        }
        else
        {
            CloseGap(first + 1, last);
        }

        _entries[first] = range;
    }

    private void OpenGap(int index)
    {
        for (int i = _count; i > index; i--)
        {
            _entries[i] = _entries[i - 1];
        }

        _count++;
    }

    private void CloseGap(int index, int end)
    {
        int removed = end - index;
        for (int i = index; i + removed < _count; i++)
        {
            _entries[i] = _entries[i + removed];
        }

        _count -= removed;
    }
}
