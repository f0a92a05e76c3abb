using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Kernels;

/// <summary>
/// A kernel for guests that are smaller than Debian's own can be, whose image ends at 74 MiB: compiled from Debian's source package with
/// <c>minimal.config</c>. It has no modules.
/// </summary>
public static class MinimalKernel
{
    private const string SourcePackage = "linux-source-6.1";
    private const string ConfigurationFile = "minimal.config";
    private const string KernelFile = "vmlinux";
    private const int FilesPerReport = 100;

    /// <summary>What the kernel's build says before the name of a file.</summary>
    private static readonly string[] Compilations = ["  CC ", "  AS "];

    /// <summary>What the host needs to compile it, and the packages that have it.</summary>
    private static readonly (string Program, string Package)[] HostPrograms =
    [
        ("gcc", "gcc"),
        ("make", "make"),
        ("bc", "bc"),
        ("flex", "flex"),
        ("bison", "bison"),
        ("xz", "xz-utils"),
        ("perl", "perl-base"),
        ("/usr/include/x86_64-linux-gnu/sys/types.h", "libc6-dev"),
        ("/usr/include/gelf.h", "libelf-dev"),
    ];

    /// <summary>Most of the source is for other machines and devices; but the configuration reads every Kconfig file that there is.</summary>
    private static readonly string[] NotUnpacked =
    [
        .. new[]
        {
            "arch/alpha", "arch/arc", "arch/arm", "arch/arm64", "arch/csky", "arch/hexagon", "arch/ia64", "arch/loongarch", "arch/m68k", "arch/microblaze", "arch/mips",
            "arch/nios2", "arch/openrisc", "arch/parisc", "arch/powerpc", "arch/riscv", "arch/s390", "arch/sh", "arch/sparc", "arch/xtensa",
            "drivers/gpu", "drivers/infiniband", "drivers/media", "drivers/net/ethernet", "drivers/net/wireless", "drivers/scsi", "drivers/staging", "sound",
        }.SelectMany(directory => new[] { $"*/{directory}/*.[chS]", $"*/{directory}/*.dts*" }),
        "*/Documentation/devicetree/*",
        "*/tools/testing/*",
    ];

    /// <summary>Compiles it unless the cache has it, which takes some minutes.</summary>
    /// <returns>Path of an ELF file.</returns>
    /// <exception cref="HostException">A package cannot be had, or the build failed.</exception>
    public static async Task<string> PrepareAsync(Action<string> report, CancellationToken cancellation)
    {
        DebianPackages packages = new(report);
        string version = await packages.VersionAsync(SourcePackage, cancellation).ConfigureAwait(false);
        byte[] configuration = ReadConfiguration();
        string hash = Convert.ToHexStringLower(SHA256.HashData(configuration))[..12];
        string directory = await CacheDirectory.OnceAsync(Path.Combine("minimal-kernel", $"{version}-{hash}"), async draft =>
        {
            await packages.InstallMissingAsync(HostPrograms, cancellation).ConfigureAwait(false);
            string work = Path.Combine(draft, "work");
            Directory.CreateDirectory(work);
            await packages.UnpackIntoAsync(SourcePackage, work, cancellation).ConfigureAwait(false);
            string source = await UnpackSourceAsync(work, report, cancellation).ConfigureAwait(false);
            await ConfigureAsync(source, configuration, cancellation).ConfigureAwait(false);
            await CompileAsync(source, report, cancellation).ConfigureAwait(false);
            await Tool.RequireAsync("strip", ["-o", Path.Combine(draft, KernelFile), Path.Combine(source, KernelFile)], cancellation: cancellation).ConfigureAwait(false);
            Directory.Delete(work, recursive: true);
        }).ConfigureAwait(false);
        return Path.Combine(directory, KernelFile);
    }

    /// <summary>The lines of a configuration that another one does not have, or has otherwise.</summary>
    /// <param name="wanted">Lines of the form <c>CONFIG_X=y</c> and <c># CONFIG_X is not set</c>, and other comments.</param>
    /// <param name="result">What the kernel's configuration made of it.</param>
    internal static IEnumerable<string> Ignored(string wanted, string result)
    {
        const string offEnd = " is not set";
        HashSet<string> lines = [.. result.Split('\n')];
        HashSet<string> on = [.. lines.Where(line => line.StartsWith("CONFIG_", StringComparison.Ordinal)).Select(line => line.Split('=')[0])];
        return wanted.Split('\n').Where(line => line.StartsWith('#')
            ? line.EndsWith(offEnd, StringComparison.Ordinal) && on.Contains(line[2..^offEnd.Length])
            : line.Length > 0 && !lines.Contains(line));
    }

    private static byte[] ReadConfiguration()
    {
        using Stream stream = typeof(MinimalKernel).Assembly.GetManifestResourceStream(ConfigurationFile)!;
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private static async Task<string> UnpackSourceAsync(string work, Action<string> report, CancellationToken cancellation)
    {
        report($"unpacking {SourcePackage}");
        string archive = Path.Combine(work, "usr", "src", SourcePackage + ".tar.xz");
        await Tool.RequireAsync("tar", ["-xf", archive, "-C", work, .. NotUnpacked.Select(pattern => $"--exclude={pattern}")], cancellation: cancellation).ConfigureAwait(false);
        return Path.Combine(work, SourcePackage);
    }

    private static async Task ConfigureAsync(string source, byte[] configuration, CancellationToken cancellation)
    {
        string file = Path.Combine(source, ConfigurationFile);
        await File.WriteAllBytesAsync(file, configuration, cancellation).ConfigureAwait(false);
        await Tool.RequireAsync("make", [$"KCONFIG_ALLCONFIG={file}", "allnoconfig"], directory: source, cancellation: cancellation).ConfigureAwait(false);
        string result = await File.ReadAllTextAsync(Path.Combine(source, ".config"), cancellation).ConfigureAwait(false);
        string[] ignored = [.. Ignored(Encoding.ASCII.GetString(configuration), result)];
        if (ignored.Length > 0)
        {
            throw new HostException($"{SourcePackage} does not have it as {ConfigurationFile} says: {string.Join(", ", ignored)}");
        }
    }

    private static async Task CompileAsync(string source, Action<string> report, CancellationToken cancellation)
    {
        report("compiling a kernel for small guests, some 800 files");
        int files = 0;
        string jobs = string.Create(CultureInfo.InvariantCulture, $"-j{Environment.ProcessorCount}");
        await Tool.RequireAsync("make", [jobs, KernelFile], default, source, Note, cancellation).ConfigureAwait(false);

        void Note(string line)
        {
            if (Compilations.Any(what => line.StartsWith(what, StringComparison.Ordinal)) && ++files % FilesPerReport == 0)
            {
                report(string.Create(CultureInfo.InvariantCulture, $"compiled {files} files"));
            }
        }
    }
}
