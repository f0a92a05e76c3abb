using System;
using System.Buffers.Binary;
using System.Threading;
using System.Threading.Tasks;

namespace Blanket.Lab.Kernels;

/// <summary>Linux's compressed kernel file (Documentation/arch/x86/boot.rst). Offsets below are into the file.</summary>
public static class BzImage
{
    private const int SetupSectorsOffset = 0x1F1;
    private const int BootFlagOffset = 0x1FE;
    private const ushort BootFlag = 0xAA55;
    private const int MagicOffset = 0x202;
    private const int VersionOffset = 0x206;
    private const int PayloadOffsetOffset = 0x248;
    private const int PayloadLengthOffset = 0x24C;
    private const int HeaderEnd = 0x250;
    private const int SectorSize = 512;
    private const ushort FirstVersionWithPayload = 0x0208;
    private const int AppendedSizeLength = sizeof(uint);

    /// <summary>Whether a file has the boot protocol's header.</summary>
    public static bool IsBzImage(ReadOnlySpan<byte> file) =>
        file.Length >= HeaderEnd
        && BinaryPrimitives.ReadUInt16LittleEndian(file[BootFlagOffset..]) == BootFlag
        && file.Slice(MagicOffset, 4).SequenceEqual("HdrS"u8);

    /// <summary>The kernel proper, an ELF file, out of its compressed payload.</summary>
    /// <exception cref="KernelException">The file is damaged, too old or compressed in an unknown way.</exception>
    public static async Task<byte[]> ExtractAsync(ReadOnlyMemory<byte> file, CancellationToken cancellation = default)
    {
        ReadOnlyMemory<byte> payload = FindPayload(file);
        Compression? compression = Compression.Recognise(payload.Span);
        if (compression is null)
        {
            return ElfFile.HasMagic(payload.Span)
                ? payload.ToArray()
                : throw new KernelException("is a bzImage with an unknown kind of payload, expected gzip, bzip2, lzma, xz, lzo, lz4 or zstd");
        }

        if (!compression.HasAppendedSize)
        {
            return await compression.DecompressAsync(payload, cancellation).ConfigureAwait(false);
        }

        if (payload.Length <= AppendedSizeLength)
        {
            throw new KernelException("is damaged: its payload is too short");
        }

        uint size = BinaryPrimitives.ReadUInt32LittleEndian(payload.Span[^AppendedSizeLength..]);
        byte[] kernel = await compression.DecompressAsync(payload[..^AppendedSizeLength], cancellation).ConfigureAwait(false);
        return kernel.Length == size
            ? kernel
            : throw new KernelException($"is damaged: its {compression.Name} payload has {kernel.Length} bytes, expected {size}");
    }

    private static ReadOnlyMemory<byte> FindPayload(ReadOnlyMemory<byte> file)
    {
        ReadOnlySpan<byte> header = file.Span;
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(header[VersionOffset..]);
        if (version < FirstVersionWithPayload)
        {
            throw new KernelException($"is a bzImage of boot protocol {version >> 8}.{version & 0xFF:D2}, expected 2.08 or later (Linux 2.6.26)");
        }

        // 0 means 4 for compatibility with the oldest boot protocols.
        int setupSectors = header[SetupSectorsOffset] == 0 ? 4 : header[SetupSectorsOffset];
        long start = ((setupSectors + 1L) * SectorSize) + BinaryPrimitives.ReadUInt32LittleEndian(header[PayloadOffsetOffset..]);
        long length = BinaryPrimitives.ReadUInt32LittleEndian(header[PayloadLengthOffset..]);
        return start + length <= file.Length && length > 0
            ? file.Slice((int)start, (int)length)
            : throw new KernelException("is damaged: its payload is outside the file");
    }
}
