#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
#else
using System.Threading;
#endif

namespace Blanket.Machine;

/// <summary>
/// Atomic changes of bits in memory that a guest may be changing at the same time. Each is one locked instruction
/// (Assembly/atomic_bits.S) and a full barrier: unlike a loop of compare-and-exchange it cannot be made to retry.
/// </summary>
public static unsafe class AtomicBits
{
#if METAL
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "atomic_test_and_set64")]
    private static extern byte TestAndSet64(ulong* word, int bit);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "atomic_test_and_clear64")]
    private static extern byte TestAndClear64(ulong* word, int bit);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "atomic_test_and_set32")]
    private static extern byte TestAndSet32(uint* word, int bit);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "atomic_or32")]
    private static extern void Or32(uint* word, uint bits);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "atomic_and32")]
    private static extern void And32(uint* word, uint mask);
#else
    private static byte TestAndSet64(ulong* word, int bit) =>
        (Interlocked.Or(ref *word, 1UL << (bit & 63)) & (1UL << (bit & 63))) != 0 ? (byte)1 : (byte)0;

    private static byte TestAndClear64(ulong* word, int bit) =>
        (Interlocked.And(ref *word, ~(1UL << (bit & 63))) & (1UL << (bit & 63))) != 0 ? (byte)1 : (byte)0;

    private static byte TestAndSet32(uint* word, int bit) =>
        (Interlocked.Or(ref *word, 1u << (bit & 31)) & (1u << (bit & 31))) != 0 ? (byte)1 : (byte)0;

    private static void Or32(uint* word, uint bits) => Interlocked.Or(ref *word, bits);

    private static void And32(uint* word, uint mask) => Interlocked.And(ref *word, mask);
#endif

    /// <summary>Sets bit 0-63 of a word; tells whether it was set before.</summary>
    public static bool TestAndSet(ref ulong word, int bit)
    {
        fixed (ulong* address = &word)
        {
            return TestAndSet64(address, bit) != 0;
        }
    }

    /// <summary>Clears bit 0-63 of a word; tells whether it was set before.</summary>
    public static bool TestAndClear(ref ulong word, int bit)
    {
        fixed (ulong* address = &word)
        {
            return TestAndClear64(address, bit) != 0;
        }
    }

    /// <summary>Sets bit 0-31 of a word; tells whether it was set before.</summary>
    public static bool TestAndSet(ref uint word, int bit)
    {
        fixed (uint* address = &word)
        {
            return TestAndSet32(address, bit) != 0;
        }
    }

    /// <summary>Sets every bit that is set in <paramref name="bits"/>.</summary>
    public static void Set(ref uint word, uint bits)
    {
        fixed (uint* address = &word)
        {
            Or32(address, bits);
        }
    }

    /// <summary>Clears every bit that is set in <paramref name="bits"/>.</summary>
    public static void Clear(ref uint word, uint bits)
    {
        fixed (uint* address = &word)
        {
            And32(address, ~bits);
        }
    }
}
