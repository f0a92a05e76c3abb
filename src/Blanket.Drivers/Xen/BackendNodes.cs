using System;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>Nodes of a device as they were read from xenstore: all values are L0's and checked when they are taken.</summary>
public sealed class BackendNodes
{
    /// <summary>The most nodes of one reading.</summary>
    public const int MaximumNodes = 32;

    /// <summary>Bytes of the longest value that is kept; a longer one counts as missing.</summary>
    public const int MaximumValue = 64;

    private const int NamesSize = 1024;

    private readonly byte[] _names = new byte[NamesSize];
    private readonly byte[] _values = new byte[MaximumNodes * MaximumValue];
    private readonly int[] _lengths = new int[MaximumNodes];
    private int _namesLength;

    /// <summary>Nodes of the reading.</summary>
    internal int Count { get; private set; }

    /// <summary>Begins a reading: names with a terminating zero each.</summary>
    internal void Begin(ReadOnlySpan<byte> names)
    {
        Check.That(names.Length <= NamesSize);
        names.CopyTo(_names);
        _namesLength = names.Length;
        Count = 0;
        foreach (byte value in names)
        {
            Count += value == 0 ? 1 : 0;
        }

        Check.That(Count <= MaximumNodes);
        for (int i = 0; i < Count; i++)
        {
            _lengths[i] = -1;
        }
    }

    /// <summary>Name of a node by its place.</summary>
    internal ReadOnlySpan<byte> Name(int index)
    {
        ReadOnlySpan<byte> rest = new(_names, 0, _namesLength);
        for (int i = 0; i < index; i++)
        {
            rest = rest.Slice(rest.IndexOf((byte)0) + 1);
        }

        return rest.Slice(0, rest.IndexOf((byte)0));
    }

    internal void Set(int index, ReadOnlySpan<byte> value)
    {
        if (value.Length <= MaximumValue)
        {
            value.CopyTo(new Span<byte>(_values, index * MaximumValue, MaximumValue));
            _lengths[index] = value.Length;
        }
    }

    /// <summary>The value of a node; false when it is missing or too long.</summary>
    public bool TryRead(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        for (int i = 0; i < Count; i++)
        {
            if (_lengths[i] >= 0 && Name(i).SequenceEqual(name))
            {
                value = new ReadOnlySpan<byte>(_values, i * MaximumValue, _lengths[i]);
                return true;
            }
        }

        value = default;
        return false;
    }

    /// <summary>A decimal number; false when the node is missing, something else, or above <paramref name="maximum"/>.</summary>
    public bool TryRead(ReadOnlySpan<byte> name, ulong maximum, out ulong number)
    {
        number = 0;
        return TryRead(name, out ReadOnlySpan<byte> value) && DecimalNumber.TryParse(value, maximum, out number);
    }

    /// <summary>A feature: true when the node is there and is a number other than 0.</summary>
    public bool ReadFlag(ReadOnlySpan<byte> name) => TryRead(name, uint.MaxValue, out ulong value) && value != 0;
}
