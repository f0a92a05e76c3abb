using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;

namespace Blanket.Boot.Tests;

/// <summary>The small guest with another first process, command line or devices.</summary>
internal sealed class TestGuest
{
    private const int DefaultMemoryMiB = 256;

    private readonly SmallGuest _small;

    private TestGuest(SmallGuest small) => _small = small;

    /// <summary>Memory of guests whose configuration is written from now on, in MiB.</summary>
    internal int MemoryMiB { get; set; } = DefaultMemoryMiB;

    /// <summary>Path of the kernel.</summary>
    internal string Kernel => _small.Kernel;

    /// <summary>Path of the initramfs.</summary>
    internal string Ramdisk => _small.Ramdisk;

    /// <summary>The small guest with the kernel that <c>./blanket run</c> takes.</summary>
    internal static async Task<TestGuest> CreateAsync() =>
        await CreateAsync(SmallGuest.DefaultKernelPackage);

    /// <summary>The small guest with another of Debian's kernels.</summary>
    internal static async Task<TestGuest> CreateAsync(string kernelPackage) =>
        new(await SmallGuest.PrepareAsync(kernelPackage, static _ => { }, CancellationToken.None));

    /// <summary>Writes a configuration.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="name">The guest's name; that of its log.</param>
    /// <param name="commandLine">The kernel's, without the console.</param>
    /// <param name="settings">Further lines.</param>
    /// <returns>Its path.</returns>
    internal string Write(BootDirectory directory, string name, string commandLine, params string[] settings) =>
        WriteConfiguration(directory, name, Kernel, MemoryMiB, [$"ramdisk = \"{Ramdisk}\"", $"cmdline = \"console=hvc0 {commandLine}\"", .. settings]);

    /// <summary>Writes a configuration of a guest whose first process is a script of this project.</summary>
    /// <returns>Its path.</returns>
    internal string WriteWithInit(BootDirectory directory, string name, string script, params string[] settings) =>
        WriteWithInit(directory, name, script, string.Empty, [], settings);

    /// <summary>
    /// Writes a configuration of a guest whose first process is a script of this project, with more on its command line and an archive of more files.
    /// </summary>
    /// <returns>Its path.</returns>
    internal string WriteWithInit(BootDirectory directory, string name, string script, string commandLine, byte[] more, params string[] settings)
    {
        // The kernel unpacks one archive behind the other.
        CpioArchive archive = new();
        archive.AddFile("common.sh", Resource("common.sh"));
        archive.AddFile(script, Resource(script), executable: true);
        string ramdisk = directory.PathOf(name + ".cpio");
        File.WriteAllBytes(ramdisk, [.. File.ReadAllBytes(Ramdisk), .. archive.ToArray(), .. more]);
        return WriteConfiguration(
            directory, name, Kernel, MemoryMiB, [$"ramdisk = \"{ramdisk}\"", $"cmdline = \"console=hvc0 panic=-1 rdinit=/{script} {commandLine}\"", .. settings]);
    }

    /// <summary>An archive with a 32-bit program of this project, <c>/compat</c>, assembled and linked.</summary>
    internal static async Task<byte[]> AssembleCompatProgramAsync(BootDirectory directory)
    {
        string objectFile = directory.PathOf("compat.o");
        string program = directory.PathOf("compat");
        await Tool.RequireAsync("as", ["--32", "-o", objectFile, "-"], Resource("compat.S"));
        await Tool.RequireAsync("ld.lld", ["-m", "elf_i386", "-static", "-o", program, objectFile]);
        CpioArchive archive = new();
        archive.AddFile("compat", await File.ReadAllBytesAsync(program), executable: true);
        return archive.ToArray();
    }

    /// <summary>Writes a configuration with a kernel and nothing else but the given lines.</summary>
    /// <returns>Its path.</returns>
    private static string WriteConfiguration(BootDirectory directory, string name, string kernel, int memoryMiB, IEnumerable<string> settings)
    {
        IEnumerable<string> lines =
        [
            $"name = \"{name}\"",
            "type = \"pv\"",
            string.Create(CultureInfo.InvariantCulture, $"memory = {memoryMiB}"),
            "vcpus = 1",
            $"kernel = \"{kernel}\"",
            .. settings,
        ];
        return directory.Write(name + ".cfg", string.Concat(lines.Select(line => line + "\n")));
    }

    /// <summary>The line of a configuration for disks xvda, xvdb and so on.</summary>
    internal static string Disks(params string[] images) =>
        $"disk = [ {string.Join(", ", images.Select((image, index) => $"\"format=raw, vdev=xvd{(char)('a' + index)}, access=rw, target={image}\""))} ]";

    /// <summary>A file that this assembly carries.</summary>
    internal static byte[] Resource(string name)
    {
        using Stream stream = typeof(TestGuest).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"there is no resource {name}");
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
