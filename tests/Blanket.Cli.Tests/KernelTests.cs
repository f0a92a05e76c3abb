using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Kernels;
using FsCheck.Xunit;

namespace Blanket.Cli.Tests;

public sealed class KernelTests : IDisposable
{
    private const uint Entry = 1;
    private const uint XenVersion = 5;
    private const uint Loader = 8;
    private const uint PvhEntry = 18;

    private static readonly byte[] Code = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 20_000).Select(i => $"{i * i} ")));

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>An option that the kernel does not know, or whose dependencies are off, is told; comments and what is as wanted are not.</summary>
    [Fact]
    public void ConfigurationThatIsNotFollowedIsTold()
    {
        const string wanted = "# about it\nCONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\n# CONFIG_E is not set\n";
        const string result = "CONFIG_A=y\n# CONFIG_B is not set\n# CONFIG_C is not set\nCONFIG_D=m\n";
        Assert.Equal(["CONFIG_B=y", "# CONFIG_D is not set"], MinimalKernel.Ignored(wanted, result));
    }

    /// <summary>How a kernel's build compresses: program and arguments, standard input to standard output.</summary>
    public static TheoryData<string, string, string[]> Compressors => new()
    {
        { "gzip", "gzip", ["-n", "-c", "-9"] },
        { "bzip2", "bzip2", ["-9"] },
        { "lzma", "xz", ["--format=lzma", "-9", "-c"] },
        { "xz", "xz", ["--check=crc32", "--x86", "--lzma2=dict=32MiB", "-c"] },
        { "lzo", "lzop", ["-9", "-c"] },
        { "lz4", "lz4", ["-l", "-9", "-c"] },
        { "zstd", "zstd", ["-19", "-c"] },
    };

    [Fact]
    public void EveryFormatIsTested() =>
        Assert.Equal(Compression.Formats.Select(format => format.Name).Order(), Compressors.Select(row => (string)row[0]).Order());

    [Theory]
    [MemberData(nameof(Compressors))]
    public async Task ExtractsBzImage(string format, string program, string[] arguments)
    {
        byte[] kernel = Elf([Entry, Loader]);
        byte[] payload = (await Tool.RequireAsync(program, arguments, kernel)).Output;
        Assert.Equal(format, Compression.Recognise(payload)?.Name);
        Assert.Equal(kernel, await GuestKernel.LoadAsync(_directory.File("vmlinuz", WrapInBzImage(payload, kernel.Length, format != "gzip"))));
    }

    [Theory]
    [MemberData(nameof(Compressors))]
    public async Task ExtractsCompressedElf(string format, string program, string[] arguments)
    {
        byte[] kernel = Elf([Entry]);
        byte[] file = (await Tool.RequireAsync(program, arguments, kernel)).Output;
        Assert.Equal(format, Compression.Recognise(file)?.Name);
        Assert.Equal(kernel, await GuestKernel.LoadAsync(_directory.File("grub", file)));
    }

    [Theory]
    [MemberData(nameof(Compressors))]
    public async Task DamagedPayloadIsAnError(string format, string program, string[] arguments)
    {
        byte[] kernel = Elf([Entry]);
        byte[] payload = (await Tool.RequireAsync(program, arguments, kernel)).Output;
        payload.AsSpan(payload.Length / 2).Clear();
        string message = await ErrorOf(WrapInBzImage(payload, kernel.Length, format != "gzip"));
        Assert.Contains("is damaged", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ExtractsUncompressedBzImage()
    {
        byte[] kernel = Elf([Entry]);
        Assert.Equal(kernel, await GuestKernel.LoadAsync(_directory.File("vmlinuz", WrapInBzImage(kernel, kernel.Length, appendSize: false))));
    }

    [Fact]
    public async Task WrongUncompressedSizeIsAnError()
    {
        byte[] kernel = Elf([Entry]);
        byte[] payload = (await Tool.RequireAsync("xz", ["--check=crc32", "-c"], kernel)).Output;
        Assert.EndsWith($"has {kernel.Length} bytes, expected {kernel.Length + 1}", await ErrorOf(WrapInBzImage(payload, kernel.Length + 1, appendSize: true)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task BadBzImagesAreErrors()
    {
        byte[] old = WrapInBzImage([1, 2, 3], 3, appendSize: false);
        old[0x206] = 7;
        Assert.EndsWith("boot protocol 2.07, expected 2.08 or later (Linux 2.6.26)", await ErrorOf(old), StringComparison.Ordinal);
        Assert.EndsWith("unknown kind of payload, expected gzip, bzip2, lzma, xz, lzo, lz4 or zstd", await ErrorOf(WrapInBzImage([1, 2, 3, 4, 5], 5, appendSize: false)), StringComparison.Ordinal);
        byte[] outside = WrapInBzImage([1, 2, 3], 3, appendSize: false);
        BinaryPrimitives.WriteUInt32LittleEndian(outside.AsSpan(0x24C), uint.MaxValue);
        Assert.EndsWith("its payload is outside the file", await ErrorOf(outside), StringComparison.Ordinal);
        Assert.EndsWith("is not a kernel, expected a bzImage or an ELF file, compressed or not", await ErrorOf("no kernel"u8.ToArray()), StringComparison.Ordinal);
        Assert.EndsWith("is not a kernel, expected a bzImage or an ELF file, compressed or not", await ErrorOf([]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task MissingFileIsAnError() =>
        Assert.StartsWith("/nonexistent cannot be read", (await Assert.ThrowsAsync<KernelException>(() => GuestKernel.LoadAsync("/nonexistent"))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(new[] { Entry }, null)]
    [InlineData(new[] { Entry, XenVersion, PvhEntry }, null)]
    [InlineData(new[] { XenVersion, Loader }, null)]
    [InlineData(new[] { PvhEntry }, "can start as a PVH guest only, expected a kernel built for Xen PV (Linux: CONFIG_XEN_PV)")]
    [InlineData(new[] { XenVersion, PvhEntry }, "can start as a PVH guest only, expected a kernel built for Xen PV (Linux: CONFIG_XEN_PV)")]
    [InlineData(new uint[0], "has no Xen notes, expected a kernel built for Xen PV (Linux: CONFIG_XEN_PV)")]
    public void TellsParavirtualKernels(uint[] notes, string? message) =>
        Assert.Equal(message, Record.Exception(() => GuestKernel.RequireParavirtual(ElfFile.Parse(Elf(notes))))?.Message);

    [Fact]
    public void RefusesOtherElfFiles()
    {
        byte[] elf32 = Elf([Entry]);
        elf32[4] = 1;
        Assert.Equal("is an ELF file for another machine, expected 64-bit x86-64", Assert.Throws<KernelException>(() => ElfFile.Parse(elf32)).Message);
        byte[] arm = Elf([Entry]);
        arm[18] = 183;
        Assert.Throws<KernelException>(() => ElfFile.Parse(arm));
        byte[] relocatable = Elf([Entry]);
        relocatable[16] = 1;
        Assert.Equal("is not an executable: it has nothing to load", Assert.Throws<KernelException>(() => GuestKernel.RequireParavirtual(ElfFile.Parse(relocatable))).Message);
    }

    [Property(MaxTest = 300)]
    public void DamagedElfFilesFailInOneWayOnly(int seed)
    {
        Random random = new(seed);
        byte[] elf = Elf([Entry, Loader]);
        for (int i = 0; i < 4; i++)
        {
            elf[random.Next(256)] = (byte)random.Next(256);
        }

        try
        {
            GuestKernel.RequireParavirtual(ElfFile.Parse(elf.AsMemory(0, random.Next(elf.Length))));
        }
        catch (KernelException)
        {
        }
    }

    private async Task<string> ErrorOf(byte[] file) =>
        (await Assert.ThrowsAsync<KernelException>(() => GuestKernel.LoadAsync(_directory.File("kernel", file)))).Message;

    /// <summary>A file by the boot protocol, version 2.15, with one setup sector and some code before the payload.</summary>
    private static byte[] WrapInBzImage(byte[] payload, int size, bool appendSize)
    {
        const int setupSectors = 1;
        const int payloadOffset = 100;
        const int start = ((setupSectors + 1) * 512) + payloadOffset;
        byte[] tail = appendSize ? BitConverter.GetBytes(size) : [];
        byte[] file = new byte[start + payload.Length + tail.Length + 50];
        file[0x1F1] = setupSectors;
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x1FE), 0xAA55);
        "HdrS"u8.CopyTo(file.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x206), 0x020F);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x248), payloadOffset);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x24C), (uint)(payload.Length + tail.Length));
        payload.CopyTo(file, start);
        tail.CopyTo(file, start + payload.Length);
        return file;
    }

    /// <summary>An executable with one segment of code that compresses somewhat, and Xen notes.</summary>
    internal static byte[] Elf(IEnumerable<uint> notes)
    {
        MemoryStream noteBytes = new();
        foreach (uint type in notes)
        {
            noteBytes.Write([4, 0, 0, 0, 8, 0, 0, 0, .. BitConverter.GetBytes(type), .. "Xen\0"u8, 0, 0, 0, 0, 0, 0, 0, 0]);
        }

        const int headers = 64 + (2 * 56);
        ulong noteStart = (ulong)(headers + Code.Length);
        MemoryStream elf = new();
        elf.Write([0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        elf.Write([2, 0, 62, 0, 1, 0, 0, 0, .. BitConverter.GetBytes(0x100000ul), .. BitConverter.GetBytes(64ul), .. BitConverter.GetBytes(0ul)]);
        elf.Write([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        elf.Write(Segment(1, headers, (ulong)Code.Length));
        elf.Write(Segment(4, noteStart, (ulong)noteBytes.Length));
        elf.Write(Code);
        elf.Write(noteBytes.ToArray());
        return elf.ToArray();
    }

    private static byte[] Segment(uint type, ulong offset, ulong size) =>
    [
        .. BitConverter.GetBytes(type), .. BitConverter.GetBytes(5u), .. BitConverter.GetBytes(offset), .. BitConverter.GetBytes(0x100000ul),
        .. BitConverter.GetBytes(0x100000ul), .. BitConverter.GetBytes(size), .. BitConverter.GetBytes(size), .. BitConverter.GetBytes(8ul),
    ];
}
