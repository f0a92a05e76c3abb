using System;
using System.Runtime.InteropServices;

namespace Blanket.Core.Bundles;

/// <summary>The checksums of a boot bundle.</summary>
public static class BundleChecksum
{
    private const uint Crc32CReversedPolynomial = 0x82F63B78;
    private const int WordSize = sizeof(ulong);

    /// <summary>CRC-32C of <paramref name="metadata"/> as if the four bytes at <paramref name="field"/> were zero.</summary>
    public static uint OfMetadata(ReadOnlySpan<byte> metadata, int field)
    {
        uint crc = 0xFFFFFFFF;
        for (int i = 0; i < metadata.Length; i++)
        {
            bool masked = i >= field && i - field < sizeof(uint);
            crc ^= masked ? (byte)0 : metadata[i];
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * Crc32CReversedPolynomial);
            }
        }

        return ~crc;
    }

    /// <summary>
    /// Checksum of a blob: a Fletcher sum over its 64-bit words, the last one padded with zeroes. It is there to catch
    /// a broken transfer, and costs two additions a word, because kernels and ramdisks are tens of megabytes.
    /// </summary>
    public static ulong OfBlob(ReadOnlySpan<byte> content)
    {
        unchecked
        {
            ulong sum = (ulong)content.Length;
            ulong sumOfSums = 0;

            // x86 is little-endian, on the host as well.
            ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(content);
            for (int i = 0; i < words.Length; i++)
            {
                sum += words[i];
                sumOfSums += sum;
            }

            sum += LastWord(content.Slice(words.Length * WordSize));
            sumOfSums += sum;
            return sum ^ ((sumOfSums << 32) | (sumOfSums >> 32));
        }
    }

    private static ulong LastWord(ReadOnlySpan<byte> bytes)
    {
        ulong word = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            word |= (ulong)bytes[i] << (8 * i);
        }

        return word;
    }
}
