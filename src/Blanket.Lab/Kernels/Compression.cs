using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Kernels;

/// <summary>A compression format that Linux kernels use, recognised by its first bytes (Documentation/arch/x86/boot.rst, payload_offset).</summary>
public sealed class Compression
{
    private static readonly Compression[] All =
    [
        new("gzip", [0x1F, 0x8B], null, []),
        new("bzip2", "BZh"u8.ToArray(), "bzip2", ["-dc"]),
        new("lzma", [0x5D, 0x00, 0x00], "xz", ["--format=lzma", "-dc"]),
        new("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "xz", ["--format=xz", "-dc"]),
        new("lzo", [0x89, 0x4C, 0x5A, 0x4F, 0x00, 0x0D, 0x0A, 0x1A, 0x0A], "lzop", ["-dc"]),
        new("lz4", [0x02, 0x21, 0x4C, 0x18], "lz4", ["-dc"]),
        new("zstd", [0x28, 0xB5, 0x2F, 0xFD], "zstd", ["-dc", "--memory=2048MB"]),
    ];

    private readonly byte[] _magic;
    private readonly string? _program;
    private readonly string[] _arguments;

    private Compression(string name, byte[] magic, string? program, string[] arguments)
    {
        Name = name;
        _magic = magic;
        _program = program;
        _arguments = arguments;
    }

    /// <summary>Every format.</summary>
    public static IReadOnlyList<Compression> Formats => All;

    /// <summary>The format's name.</summary>
    public string Name { get; }

    /// <summary>Whether a kernel build appends the uncompressed size as four bytes; gzip's own format ends with it.</summary>
    internal bool HasAppendedSize => _program is not null;

    /// <summary>The format that content starts with, or null.</summary>
    public static Compression? Recognise(ReadOnlySpan<byte> content)
    {
        foreach (Compression format in All)
        {
            if (content.StartsWith(format._magic))
            {
                return format;
            }
        }

        return null;
    }

    /// <summary>Decompresses a whole stream.</summary>
    /// <exception cref="KernelException">The stream is damaged.</exception>
    /// <exception cref="HostException">The program for this format is missing.</exception>
    public async Task<byte[]> DecompressAsync(ReadOnlyMemory<byte> content, CancellationToken cancellation = default)
    {
        if (_program is null)
        {
            return DecompressGzip(content);
        }

        ToolResult result = await Tool.RunAsync(_program, _arguments, content, null, cancellation: cancellation).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result.Output
            : throw new KernelException($"is damaged: its {Name} data does not decompress ({result.Error.Trim()})");
    }

    private static byte[] DecompressGzip(ReadOnlyMemory<byte> content)
    {
        try
        {
            using MemoryStream input = new(content.ToArray(), writable: false);
            using GZipStream gzip = new(input, CompressionMode.Decompress);
            using MemoryStream output = new();
            gzip.CopyTo(output);
            return output.ToArray();
        }
        catch (InvalidDataException e)
        {
            throw new KernelException($"is damaged: its gzip data does not decompress ({e.Message})");
        }
    }
}
