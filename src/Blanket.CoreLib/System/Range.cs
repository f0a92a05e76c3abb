namespace System;

/// <summary>A position counted from the start or from the end; what the compiler makes of <c>^1</c>.</summary>
public readonly struct Index
{
    private readonly int _value;

    public Index(int value, bool fromEnd = false) => _value = fromEnd ? ~value : value;

    public bool IsFromEnd => _value < 0;

    public int Value => _value < 0 ? ~_value : _value;

    public int GetOffset(int length) => IsFromEnd ? length - Value : Value;

    public static implicit operator Index(int value) => new(value);
}

/// <summary>Two positions; slices of spans are compiled to calls of Slice and never make one at run time.</summary>
public readonly struct Range
{
    public Range(Index start, Index end)
    {
        Start = start;
        End = end;
    }

    public Index Start { get; }

    public Index End { get; }

    public static Range All => new(0, new Index(0, true));

    public static Range StartAt(Index start) => new(start, new Index(0, true));

    public static Range EndAt(Index end) => new(0, end);
}
