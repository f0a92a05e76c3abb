using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace System;

/// <summary>Checked window on contiguous values; same contract as .NET's.</summary>
public readonly ref struct Span<T>
{
    internal readonly ref T _reference;
    private readonly int _length;

    public Span(T[]? array)
    {
        if (array == null)
        {
            this = default;
            return;
        }

        _reference = ref MemoryMarshal.GetArrayDataReference(array);
        _length = array.Length;
    }

    public Span(T[] array, int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)array.Length)
        {
            ThrowHelper.Abandon();
        }

        _reference = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(array), start);
        _length = length;
    }

    public unsafe Span(void* pointer, int length)
    {
        if (length < 0)
        {
            ThrowHelper.Abandon();
        }

        _reference = ref Unsafe.As<byte, T>(ref *(byte*)pointer);
        _length = length;
    }

    public Span(ref T reference)
    {
        _reference = ref reference;
        _length = 1;
    }

    internal Span(ref T reference, int length)
    {
        _reference = ref reference;
        _length = length;
    }

    public static Span<T> Empty => default;

    public int Length => _length;

    public bool IsEmpty => _length == 0;

    public ref T this[int index]
    {
        [Intrinsic]
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)_length)
            {
                ThrowHelper.Abandon();
            }

            return ref Unsafe.Add(ref _reference, (nint)(uint)index);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> Slice(int start)
    {
        if ((uint)start > (uint)_length)
        {
            ThrowHelper.Abandon();
        }

        return new Span<T>(ref Unsafe.Add(ref _reference, (nint)(uint)start), _length - start);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> Slice(int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)_length)
        {
            ThrowHelper.Abandon();
        }

        return new Span<T>(ref Unsafe.Add(ref _reference, (nint)(uint)start), length);
    }

    public unsafe void Clear() =>
        MemoryRoutines.memset((byte*)Unsafe.AsPointer(ref _reference), 0, (nuint)(uint)_length * (nuint)Unsafe.SizeOf<T>());

    public void Fill(T value)
    {
        for (int i = 0; i < _length; i++)
        {
            Unsafe.Add(ref _reference, i) = value;
        }
    }

    public void CopyTo(Span<T> destination)
    {
        if (!TryCopyTo(destination))
        {
            ThrowHelper.Abandon();
        }
    }

    public bool TryCopyTo(Span<T> destination) => ((ReadOnlySpan<T>)this).TryCopyTo(destination);

    /// <summary>For 'fixed' statements.</summary>
    public ref T GetPinnableReference() => ref _reference;

    public Enumerator GetEnumerator() => new(this);

    public static implicit operator Span<T>(T[]? array) => new(array);

    public static implicit operator ReadOnlySpan<T>(Span<T> span) => new(ref span._reference, span._length);

    public ref struct Enumerator
    {
        private readonly Span<T> _span;
        private int _index;

        internal Enumerator(Span<T> span)
        {
            _span = span;
            _index = -1;
        }

        public readonly ref T Current => ref _span[_index];

        public bool MoveNext() => ++_index < _span.Length;
    }
}

/// <summary>Checked read-only window on contiguous values; same contract as .NET's.</summary>
public readonly ref struct ReadOnlySpan<T>
{
    internal readonly ref T _reference;
    private readonly int _length;

    public ReadOnlySpan(T[]? array)
    {
        if (array == null)
        {
            this = default;
            return;
        }

        _reference = ref MemoryMarshal.GetArrayDataReference(array);
        _length = array.Length;
    }

    public ReadOnlySpan(T[] array, int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)array.Length)
        {
            ThrowHelper.Abandon();
        }

        _reference = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(array), start);
        _length = length;
    }

    public unsafe ReadOnlySpan(void* pointer, int length)
    {
        if (length < 0)
        {
            ThrowHelper.Abandon();
        }

        _reference = ref Unsafe.As<byte, T>(ref *(byte*)pointer);
        _length = length;
    }

    public ReadOnlySpan(ref readonly T reference)
    {
        _reference = ref Unsafe.AsRef(in reference);
        _length = 1;
    }

    internal ReadOnlySpan(ref T reference, int length)
    {
        _reference = ref reference;
        _length = length;
    }

    public static ReadOnlySpan<T> Empty => default;

    public int Length => _length;

    public bool IsEmpty => _length == 0;

    public ref readonly T this[int index]
    {
        [Intrinsic]
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)_length)
            {
                ThrowHelper.Abandon();
            }

            return ref Unsafe.Add(ref _reference, (nint)(uint)index);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<T> Slice(int start)
    {
        if ((uint)start > (uint)_length)
        {
            ThrowHelper.Abandon();
        }

        return new ReadOnlySpan<T>(ref Unsafe.Add(ref _reference, (nint)(uint)start), _length - start);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<T> Slice(int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)_length)
        {
            ThrowHelper.Abandon();
        }

        return new ReadOnlySpan<T>(ref Unsafe.Add(ref _reference, (nint)(uint)start), length);
    }

    public void CopyTo(Span<T> destination)
    {
        if (!TryCopyTo(destination))
        {
            ThrowHelper.Abandon();
        }
    }

    public bool TryCopyTo(Span<T> destination)
    {
        if ((uint)_length > (uint)destination.Length)
        {
            return false;
        }

        Buffer.Memmove(ref destination._reference, ref _reference, (nuint)(uint)_length);
        return true;
    }

    /// <summary>For 'fixed' statements.</summary>
    public ref readonly T GetPinnableReference() => ref _reference;

    public Enumerator GetEnumerator() => new(this);

    public static implicit operator ReadOnlySpan<T>(T[]? array) => new(array);

    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<T> _span;
        private int _index;

        internal Enumerator(ReadOnlySpan<T> span)
        {
            _span = span;
            _index = -1;
        }

        public readonly ref readonly T Current => ref _span[_index];

        public bool MoveNext() => ++_index < _span.Length;
    }
}

/// <summary>The span operations of .NET's System.MemoryExtensions that L1 uses.</summary>
public static class MemoryExtensions
{
    public static Span<T> AsSpan<T>(this T[]? array) => new(array);

    public static Span<T> AsSpan<T>(this T[] array, int start, int length) => new(array, start, length);

    public static bool SequenceEqual(this ReadOnlySpan<byte> span, ReadOnlySpan<byte> other) =>
        span.Length == other.Length && span.StartsWith(other);

    public static bool SequenceEqual(this Span<byte> span, ReadOnlySpan<byte> other) =>
        ((ReadOnlySpan<byte>)span).SequenceEqual(other);

    public static bool StartsWith(this ReadOnlySpan<byte> span, ReadOnlySpan<byte> value)
    {
        if (value.Length > span.Length)
        {
            return false;
        }

        for (int i = 0; i < value.Length; i++)
        {
            if (span[i] != value[i])
            {
                return false;
            }
        }

        return true;
    }

    public static bool EndsWith(this ReadOnlySpan<byte> span, ReadOnlySpan<byte> value) =>
        value.Length <= span.Length && span.Slice(span.Length - value.Length).StartsWith(value);

    public static int IndexOf(this ReadOnlySpan<byte> span, byte value)
    {
        for (int i = 0; i < span.Length; i++)
        {
            if (span[i] == value)
            {
                return i;
            }
        }

        return -1;
    }

    public static int IndexOf(this Span<byte> span, byte value) => ((ReadOnlySpan<byte>)span).IndexOf(value);

    public static int LastIndexOf(this ReadOnlySpan<byte> span, byte value)
    {
        for (int i = span.Length - 1; i >= 0; i--)
        {
            if (span[i] == value)
            {
                return i;
            }
        }

        return -1;
    }

    public static int IndexOf(this ReadOnlySpan<byte> span, ReadOnlySpan<byte> value)
    {
        for (int i = 0; i + value.Length <= span.Length; i++)
        {
            if (span.Slice(i).StartsWith(value))
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Lexicographic order of bytes, as memcmp(3) then length.</summary>
    public static int SequenceCompareTo(this ReadOnlySpan<byte> span, ReadOnlySpan<byte> other)
    {
        int common = Math.Min(span.Length, other.Length);
        for (int i = 0; i < common; i++)
        {
            if (span[i] != other[i])
            {
                return span[i] - other[i];
            }
        }

        return span.Length - other.Length;
    }
}
