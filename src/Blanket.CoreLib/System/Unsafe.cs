namespace System.Runtime.CompilerServices
{
    /// <summary>The compiler replaces these bodies; see ILCompiler's intrinsics.</summary>
    public static unsafe class Unsafe
    {
        [Intrinsic]
        public static extern ref T Add<T>(ref T source, int elementOffset);

        [Intrinsic]
        public static extern ref T Add<T>(ref T source, nint elementOffset);

        [Intrinsic]
        public static extern ref T AddByteOffset<T>(ref T source, nint byteOffset);

        [Intrinsic]
        public static extern ref TTo As<TFrom, TTo>(ref TFrom source);

        [Intrinsic]
        public static extern T As<T>(object? value) where T : class?;

        [Intrinsic]
        public static extern ref T AsRef<T>(scoped ref readonly T source);

        [Intrinsic]
        public static extern ref T AsRef<T>(void* source);

        [Intrinsic]
        public static extern void* AsPointer<T>(ref readonly T value);

        [Intrinsic]
        public static extern int SizeOf<T>();

        [Intrinsic]
        public static extern nint ByteOffset<T>(ref readonly T origin, ref readonly T target);

        [Intrinsic]
        public static extern bool AreSame<T>(ref readonly T left, ref readonly T right);

        [Intrinsic]
        public static extern T ReadUnaligned<T>(void* source);

        [Intrinsic]
        public static extern T ReadUnaligned<T>(ref readonly byte source);

        [Intrinsic]
        public static extern void WriteUnaligned<T>(void* destination, T value);

        [Intrinsic]
        public static extern void WriteUnaligned<T>(ref byte destination, T value);
    }

    public static unsafe class RuntimeHelpers
    {
        // Field initializers of arrays: never used at run time, arrays of constants are spans over read-only data.
        [Intrinsic]
        public static extern ReadOnlySpan<T> CreateSpan<T>(RuntimeFieldHandle fldHandle);

        public static int OffsetToStringData => 12;

        [Intrinsic]
        public static extern bool IsReferenceOrContainsReferences<T>();
    }
}

namespace System.Runtime.InteropServices
{
    using System.Runtime.CompilerServices;

    public static unsafe class MemoryMarshal
    {
        [Intrinsic]
        public static ref T GetArrayDataReference<T>(T[] array) =>
            ref Unsafe.As<byte, T>(ref Unsafe.As<RawArrayData>(array).Data);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ref T GetReference<T>(Span<T> span) => ref span._reference;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ref T GetReference<T>(ReadOnlySpan<T> span) => ref span._reference;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Span<T> CreateSpan<T>(scoped ref T reference, int length) => new(Unsafe.AsPointer(ref reference), length);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ReadOnlySpan<T> CreateReadOnlySpan<T>(scoped ref readonly T reference, int length) =>
            new(Unsafe.AsPointer(ref Unsafe.AsRef(in reference)), length);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Span<byte> AsBytes<T>(Span<T> span) where T : struct =>
            new(Unsafe.AsPointer(ref span._reference), checked(span.Length * Unsafe.SizeOf<T>()));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ReadOnlySpan<byte> AsBytes<T>(ReadOnlySpan<T> span) where T : struct =>
            new(Unsafe.AsPointer(ref span._reference), checked(span.Length * Unsafe.SizeOf<T>()));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Span<TTo> Cast<TFrom, TTo>(Span<TFrom> span) where TFrom : struct where TTo : struct =>
            new(Unsafe.AsPointer(ref span._reference), (int)((ulong)(uint)span.Length * (uint)Unsafe.SizeOf<TFrom>() / (uint)Unsafe.SizeOf<TTo>()));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ReadOnlySpan<TTo> Cast<TFrom, TTo>(ReadOnlySpan<TFrom> span) where TFrom : struct where TTo : struct =>
            new(Unsafe.AsPointer(ref span._reference), (int)((ulong)(uint)span.Length * (uint)Unsafe.SizeOf<TFrom>() / (uint)Unsafe.SizeOf<TTo>()));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T Read<T>(ReadOnlySpan<byte> source) where T : struct
        {
            if (Unsafe.SizeOf<T>() > source.Length)
            {
                ThrowHelper.Abandon();
            }

            return Unsafe.ReadUnaligned<T>(ref source._reference);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Write<T>(Span<byte> destination, in T value) where T : struct
        {
            if (Unsafe.SizeOf<T>() > destination.Length)
            {
                ThrowHelper.Abandon();
            }

            Unsafe.WriteUnaligned(ref destination._reference, value);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static ref T AsRef<T>(Span<byte> span) where T : struct
        {
            if (Unsafe.SizeOf<T>() > span.Length)
            {
                ThrowHelper.Abandon();
            }

            return ref Unsafe.As<byte, T>(ref span._reference);
        }

        private sealed class RawArrayData
        {
            public uint Length;
            public uint Padding;
            public byte Data;
        }
    }
}

namespace System
{
    using System.Runtime.CompilerServices;

    internal static class Buffer
    {
        /// <summary>Copies elements; the regions may overlap.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal static unsafe void Memmove<T>(ref T destination, ref T source, nuint elementCount) =>
            MemoryRoutines.memmove(
                (byte*)Unsafe.AsPointer(ref destination), (byte*)Unsafe.AsPointer(ref source), elementCount * (nuint)Unsafe.SizeOf<T>());
    }

    internal static unsafe class MemoryRoutines
    {
        [MethodImpl(MethodImplOptions.InternalCall)]
        [Runtime.RuntimeImport("*", "memmove")]
        internal static extern byte* memmove(byte* destination, byte* source, nuint length);

        [MethodImpl(MethodImplOptions.InternalCall)]
        [Runtime.RuntimeImport("*", "memset")]
        internal static extern byte* memset(byte* destination, int value, nuint length);
    }
}
