using System.Runtime.CompilerServices;

namespace System;

/// <summary>What the compiler calls by name for fills and copies of blocks.</summary>
internal static unsafe class SpanHelpers
{
    private static void ClearWithoutReferences(ref byte destination, nuint length) =>
        MemoryRoutines.memset((byte*)Unsafe.AsPointer(ref destination), 0, length);

    private static void Fill(ref byte destination, byte value, nuint length) =>
        MemoryRoutines.memset((byte*)Unsafe.AsPointer(ref destination), value, length);

    private static void Memmove(ref byte destination, ref byte source, nuint length) =>
        MemoryRoutines.memmove((byte*)Unsafe.AsPointer(ref destination), (byte*)Unsafe.AsPointer(ref source), length);
}
