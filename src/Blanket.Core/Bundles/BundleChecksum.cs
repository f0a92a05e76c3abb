using System;

namespace Blanket.Core.Bundles;

/// <summary>The checksums of a boot bundle.</summary>
public static class BundleChecksum
{
    private const uint Crc32CReversedPolynomial = 0x82F63B78;

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

    /// <summary>Checksum of a blob, in one go (<see cref="BlobChecksum"/>).</summary>
    public static ulong OfBlob(ReadOnlySpan<byte> content)
    {
        BlobChecksum checksum = default;
        while (!checksum.TryAdd(content))
        {
        }

        return checksum.Value;
    }
}
