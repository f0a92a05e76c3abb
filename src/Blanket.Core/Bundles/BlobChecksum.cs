using System;
using System.Runtime.InteropServices;
using Blanket.Core.Hypercalls;

namespace Blanket.Core.Bundles;

/// <summary>
/// Checksum of a blob: a Fletcher sum over its length and its 64-bit words, the last one padded with zeroes. It is there to catch
/// a broken transfer, and costs two additions a word, because kernels and ramdisks are tens of megabytes.
/// </summary>
public struct BlobChecksum
{
    private const int WordSize = sizeof(ulong);
    private const int WordsBetweenChecks = 8 << 10;

    private ulong _sum;
    private ulong _sumOfSums;
    private int _words;

    /// <summary>The checksum, when all is added.</summary>
    public readonly ulong Value => _sum ^ ((_sumOfSums << 32) | (_sumOfSums >> 32));

    /// <summary>Goes on until all is added or <see cref="Preemption.IsNeeded"/>; each go adds something.</summary>
    /// <param name="content">The whole blob, each time.</param>
    /// <returns>Whether all is added; then not to be called again.</returns>
    public bool TryAdd(ReadOnlySpan<byte> content)
    {
        if (_words == 0)
        {
            _sum = (ulong)content.Length;
        }

        // x86 is little-endian, on the host as well.
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(content);
        while (_words < words.Length)
        {
            int count = Math.Min(words.Length - _words, WordsBetweenChecks);
            Add(words.Slice(_words, count));
            _words += count;
            if (Preemption.IsNeeded && _words < words.Length)
            {
                return false;
            }
        }

        _sum = unchecked(_sum + LastWord(content.Slice(words.Length * WordSize)));
        _sumOfSums = unchecked(_sumOfSums + _sum);
        return true;
    }

    private void Add(ReadOnlySpan<ulong> words)
    {
        ulong sum = _sum;
        ulong sumOfSums = _sumOfSums;
        for (int i = 0; i < words.Length; i++)
        {
            sum = unchecked(sum + words[i]);
            sumOfSums = unchecked(sumOfSums + sum);
        }

        _sum = sum;
        _sumOfSums = sumOfSums;
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
