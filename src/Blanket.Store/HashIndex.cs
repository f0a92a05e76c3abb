using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// Finds slab records by a 64-bit key: buckets of intrusive chains. Records with equal keys may be many;
/// the caller compares what the key was made of.
/// </summary>
internal sealed class HashIndex<T> where T : unmanaged, IHashed
{
    private readonly Slab<T> _records;
    private readonly int[] _heads;

    /// <summary>An empty index over <paramref name="records"/>.</summary>
    /// <param name="records">Where the records live.</param>
    /// <param name="bucketBits">Base-2 logarithm of the number of buckets, 1..30.</param>
    internal HashIndex(Slab<T> records, int bucketBits)
    {
        _records = records;
        _heads = new int[1 << bucketBits];
        for (int i = 0; i < _heads.Length; i++)
        {
            _heads[i] = Link.None;
        }
    }

    /// <summary>Adds a record, first in its bucket.</summary>
    internal void Insert(int record)
    {
        ref T entry = ref _records[record];
        ref int head = ref _heads[Bucket(entry.HashKey)];
        entry.HashNext = head;
        entry.HashPrevious = Link.None;
        if (head != Link.None)
        {
            _records[head].HashPrevious = record;
        }

        head = record;
    }

    /// <summary>Removes a record that is in the index.</summary>
    internal void Remove(int record)
    {
        ref T entry = ref _records[record];
        if (entry.HashPrevious == Link.None)
        {
            _heads[Bucket(entry.HashKey)] = entry.HashNext;
        }
        else
        {
            _records[entry.HashPrevious].HashNext = entry.HashNext;
        }

        if (entry.HashNext != Link.None)
        {
            _records[entry.HashNext].HashPrevious = entry.HashPrevious;
        }
    }

    /// <summary>First record with this key, or <see cref="Link.None"/>.</summary>
    internal int First(ulong key) => Match(_heads[Bucket(key)], key);

    /// <summary>Next record with the same key, or <see cref="Link.None"/>.</summary>
    internal int Next(int record)
    {
        ref T entry = ref _records[record];
        return Match(entry.HashNext, entry.HashKey);
    }

    private int Match(int record, ulong key)
    {
        while (record != Link.None && _records[record].HashKey != key)
        {
            record = _records[record].HashNext;
        }

        return record;
    }

    private int Bucket(ulong key) => (int)(key & (uint)(_heads.Length - 1));
}
