using System;
using System.Numerics;

namespace Blanket.Store;

/// <summary>
/// SipHash-1-3 with a secret key: guests choose names and must not be able to choose collisions.
/// A path's hash is chained over its components, so that one pass gives the hashes of all its ancestors.
/// </summary>
internal sealed class PathHash
{
    private readonly ulong _key0;
    private readonly ulong _key1;

    /// <summary>A hash with a 128-bit key.</summary>
    internal PathHash(ulong key0, ulong key1)
    {
        _key0 = key0;
        _key1 = key1;
    }

    /// <summary>Hash of the root path.</summary>
    internal ulong Root => Extend(0, "/"u8);

    /// <summary>Hash of <paramref name="bytes"/> following what <paramref name="previous"/> is the hash of.</summary>
    internal ulong Extend(ulong previous, ReadOnlySpan<byte> bytes)
    {
        ulong v0 = _key0 ^ 0x736f6d6570736575;
        ulong v1 = _key1 ^ 0x646f72616e646f6d;
        ulong v2 = _key0 ^ 0x6c7967656e657261;
        ulong v3 = _key1 ^ 0x7465646279746573;
        Absorb(ref v0, ref v1, ref v2, ref v3, previous);

        ulong word = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            word |= (ulong)bytes[i] << ((i & 7) * 8);
            if ((i & 7) == 7)
            {
                Absorb(ref v0, ref v1, ref v2, ref v3, word);
                word = 0;
            }
        }

        Absorb(ref v0, ref v1, ref v2, ref v3, word | ((ulong)(bytes.Length & 0xff) << 56));
        v2 ^= 0xff;
        Round(ref v0, ref v1, ref v2, ref v3);
        Round(ref v0, ref v1, ref v2, ref v3);
        Round(ref v0, ref v1, ref v2, ref v3);
        return v0 ^ v1 ^ v2 ^ v3;
    }

    private static void Absorb(ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3, ulong word)
    {
        v3 ^= word;
        Round(ref v0, ref v1, ref v2, ref v3);
        v0 ^= word;
    }

    private static void Round(ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3)
    {
        unchecked
        {
            v0 += v1;
            v1 = BitOperations.RotateLeft(v1, 13) ^ v0;
            v0 = BitOperations.RotateLeft(v0, 32);
            v2 += v3;
            v3 = BitOperations.RotateLeft(v3, 16) ^ v2;
            v0 += v3;
            v3 = BitOperations.RotateLeft(v3, 21) ^ v0;
            v2 += v1;
            v1 = BitOperations.RotateLeft(v1, 17) ^ v2;
            v2 = BitOperations.RotateLeft(v2, 32);
        }
    }
}
