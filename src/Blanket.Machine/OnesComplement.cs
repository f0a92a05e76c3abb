using System;
#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
#else
using System.Runtime.InteropServices;
#endif

namespace Blanket.Machine;

/// <summary>Sums of the Internet checksum's kind (RFC 1071), 64 bits wide, so that 16-bit words can be added four at a time.</summary>
public static unsafe class OnesComplement
{
#if METAL
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "ones_complement_add")]
    private static extern ulong Add(ulong sum, byte* bytes, ulong length);
#else
    private static ulong Add(ulong sum, byte* bytes, ulong length)
    {
        ReadOnlySpan<byte> left = new(bytes, (int)length);
        for (; left.Length >= 2; left = left.Slice(2))
        {
            sum = Add(sum, MemoryMarshal.Read<ushort>(left));
        }

        return left.IsEmpty ? sum : Add(sum, left[0]);
    }
#endif

    /// <summary>Adds bytes as little-endian words of 16 bits; an odd byte at the end is the low half of a word. 0 only if all that was added is 0.</summary>
    public static ulong Add(ulong sum, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* address = bytes)
        {
            return Add(sum, address, (uint)bytes.Length);
        }
    }

    /// <summary>Adds a number, with end-around carry.</summary>
    public static ulong Add(ulong sum, ulong number)
    {
        sum = unchecked(sum + number);
        return sum < number ? sum + 1 : sum;
    }

    /// <summary>The sum in 16 bits.</summary>
    public static ushort Fold(ulong sum)
    {
        sum = (sum >> 32) + (uint)sum;
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        return (ushort)((sum >> 16) + (sum & 0xffff));
    }
}
