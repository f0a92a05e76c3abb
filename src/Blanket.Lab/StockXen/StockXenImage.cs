using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;
using Blanket.Lab.Kernels;

namespace Blanket.Lab.StockXen;

/// <summary>Debian's Xen 4.17 with a dom0 of Debian's kernel and a root that is an initramfs; nothing of it is installed on the host.</summary>
public sealed class StockXenImage
{
    private const string KernelPackage = "linux-image-amd64";
    private const string HypervisorPackage = "xen-hypervisor-4.17-amd64";
    private const string Busybox = "/bin/busybox";
    private const string LibraryDirectory = "lib/x86_64-linux-gnu";
    private const string ToolDirectory = "usr/lib/xen-4.17/bin";

    /// <summary>The toolstack and its libraries that a Debian host does not have.</summary>
    private static readonly string[] ToolPackages =
    [
        "xen-utils-4.17", "xenstore-utils", "libxenmisc4.17", "libxencall1", "libxendevicemodel1", "libxenevtchn1", "libxenforeignmemory1",
        "libxengnttab1", "libxenhypfs1", "libxenstore4", "libxentoolcore1", "libxentoollog1", "libyajl2",
    ];

    private static readonly string[] Tools = ["xl", "xenstored", "xenconsoled", "xen-init-dom0", "libxl-save-helper"];

    private static readonly string[] StoreTools = ["xenstore-list", "xenstore-read", "xenstore-write"];

    /// <summary>Loaded at run time by the C library, for the cancellation of threads.</summary>
    private static readonly string[] HiddenLibraries = ["/lib/x86_64-linux-gnu/libgcc_s.so.1"];

    private static readonly string[] ModuleNames =
    [
        "virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "9pnet_virtio", "9p", "bridge",
        "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs", "xen-blkback", "xen-netback",
    ];

    /// <summary>What is in the initramfs; the others come with the job.</summary>
    private static readonly string[] InitScripts = ["dom0.sh", "block.sh", "vif.sh"];

    private static readonly string[] Directories =
    [
        "bin", "dev", "etc", "etc/xen", "etc/xen/scripts", "job", "lib", "lib/modules", LibraryDirectory, "lib64", "proc", "sys", "tmp", "usr", "usr/lib",
        "usr/lib/xen-4.17", ToolDirectory, "var",
    ];

    private readonly string _directory;

    private StockXenImage(string directory) => _directory = directory;

    /// <summary>Path of the hypervisor, an ELF file with multiboot's header.</summary>
    public string Hypervisor => Path.Combine(_directory, "xen");

    /// <summary>Path of dom0's kernel, an ELF file.</summary>
    public string Kernel => Path.Combine(_directory, "vmlinux");

    /// <summary>Path of dom0's root, an uncompressed initramfs.</summary>
    public string Ramdisk => Path.Combine(_directory, "dom0.cpio");

    /// <summary>Makes what is not in the cache yet.</summary>
    /// <exception cref="HostException">A package cannot be had, or a library is missing.</exception>
    public static async Task<StockXenImage> PrepareAsync(Action<string> report, CancellationToken cancellation)
    {
        DebianPackages packages = new(report);
        string kernel = await packages.UnpackAsync(KernelPackage, "linux-image-", cancellation).ConfigureAwait(false);
        string hypervisor = await packages.UnpackAsync(HypervisorPackage, null, cancellation).ConfigureAwait(false);
        List<string> tools = [];
        foreach (string package in ToolPackages)
        {
            tools.Add(await packages.UnpackAsync(package, null, cancellation).ConfigureAwait(false));
        }

        string directory = await CacheDirectory.OnceAsync(Path.Combine("stock-xen", Version()), async draft =>
        {
            report("building stock Xen's dom0");
            StockXenImage image = new(draft);
            await image.WriteHypervisorAsync(hypervisor, cancellation).ConfigureAwait(false);
            await image.WriteKernelAsync(kernel, cancellation).ConfigureAwait(false);
            await image.WriteRamdiskAsync(kernel, tools, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new StockXenImage(directory);
    }

    /// <summary>Changes with what is put inside.</summary>
    private static string Version() =>
        Convert.ToHexStringLower(SHA256.HashData(
            [.. InitScripts.SelectMany(Resource), .. Encoding.UTF8.GetBytes(string.Join(' ', [.. ModuleNames, .. Tools, .. StoreTools]))]))[..12];

    /// <summary>A script that this assembly carries.</summary>
    internal static byte[] Resource(string name)
    {
        using Stream stream = typeof(StockXenImage).Assembly.GetManifestResourceStream("stock-xen/" + name)!;
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private static string FindKernel(string package) => Directory.EnumerateFiles(Path.Combine(package, "boot"), "vmlinuz-*").Single();

    private async Task WriteHypervisorAsync(string package, CancellationToken cancellation)
    {
        string compressed = Directory.EnumerateFiles(Path.Combine(package, "boot"), "xen-*.gz").Single(path => File.ResolveLinkTarget(path, false) is null);
        using FileStream source = File.OpenRead(compressed);
        using GZipStream content = new(source, CompressionMode.Decompress);
        using FileStream target = File.Create(Hypervisor);
        await content.CopyToAsync(target, cancellation).ConfigureAwait(false);
    }

    private async Task WriteKernelAsync(string package, CancellationToken cancellation)
    {
        byte[] elf = await GuestKernel.LoadAsync(FindKernel(package), cancellation).ConfigureAwait(false);
        await File.WriteAllBytesAsync(Kernel, elf, cancellation).ConfigureAwait(false);
    }

    private async Task WriteRamdiskAsync(string kernelPackage, IReadOnlyList<string> toolPackages, CancellationToken cancellation)
    {
        CpioArchive archive = new();
        foreach (string directory in Directories)
        {
            archive.AddDirectory(directory);
        }

        archive.AddCharacterDevice("dev/console", 5, 1);
        archive.AddFile("init", Resource("dom0.sh"), executable: true);
        archive.AddFile("etc/xen/scripts/block", Resource("block.sh"), executable: true);
        archive.AddFile("etc/xen/scripts/vif", Resource("vif.sh"), executable: true);
        archive.AddFile("etc/xen/xl.conf", "autoballoon=\"off\"\n"u8);
        archive.AddLink("run", "var/run");
        AddFile(archive, "bin/busybox", Busybox);
        await AddToolsAsync(archive, toolPackages, cancellation).ConfigureAwait(false);
        string release = Path.GetFileName(FindKernel(kernelPackage))["vmlinuz-".Length..];
        await AddModulesAsync(archive, Path.Combine(kernelPackage, "lib", "modules", release), cancellation).ConfigureAwait(false);
        await File.WriteAllBytesAsync(Ramdisk, archive.ToArray(), cancellation).ConfigureAwait(false);
    }

    private static void AddFile(CpioArchive archive, string path, string source) => archive.AddFile(path, File.ReadAllBytes(source), executable: true);

    private static async Task AddToolsAsync(CpioArchive archive, IReadOnlyList<string> packages, CancellationToken cancellation)
    {
        HashSet<string> libraries = [.. HiddenLibraries];
        IEnumerable<(string Source, string Path)> programs = Tools.Select(name => (Find(packages, $"{ToolDirectory}/{name}"), $"{ToolDirectory}/{name}"))
            .Concat(StoreTools.Select(name => (Find(packages, $"usr/bin/{name}"), $"bin/{name}")));
        foreach ((string source, string path) in programs)
        {
            AddFile(archive, path, source);
            libraries.UnionWith(await ListLibrariesAsync(source, packages, cancellation).ConfigureAwait(false));
        }

        foreach (string library in libraries)
        {
            string name = Path.GetFileName(library);
            AddFile(archive, name.StartsWith("ld-linux", StringComparison.Ordinal) ? $"lib64/{name}" : $"{LibraryDirectory}/{name}", library);
        }
    }

    private static string Find(IReadOnlyList<string> packages, string path) =>
        packages.Select(package => Path.Combine(package, path)).FirstOrDefault(File.Exists)
        ?? throw new HostException($"Debian's Xen packages have no {path}");

    /// <summary>The libraries that the host's loader finds for a program, in the packages first.</summary>
    private static async Task<IReadOnlyList<string>> ListLibrariesAsync(string program, IReadOnlyList<string> packages, CancellationToken cancellation)
    {
        string search = string.Join(':', packages.SelectMany(package => new[]
        {
            Path.Combine(package, "usr", LibraryDirectory), Path.Combine(package, "usr/lib/xen-4.17", LibraryDirectory), Path.Combine(package, LibraryDirectory),
        }).Where(Directory.Exists));
        ToolResult result = await Tool.RequireAsync("env", [$"LD_LIBRARY_PATH={search}", "ldd", program], cancellation: cancellation).ConfigureAwait(false);
        string[] lines = result.Text.Split('\n', StringSplitOptions.TrimEntries);
        return lines.FirstOrDefault(line => line.EndsWith("not found", StringComparison.Ordinal)) is string missing
            ? throw new HostException($"{Path.GetFileName(program)} of Debian's Xen lacks a library on this host: {missing}")
            : [.. lines.SelectMany(line => line.Split(' ')).Where(word => word.StartsWith('/'))];
    }

    private static async Task AddModulesAsync(CpioArchive archive, string directory, CancellationToken cancellation)
    {
        IReadOnlyList<KernelModule> modules = await new KernelModules(directory).LoadAsync(ModuleNames, cancellation).ConfigureAwait(false);
        foreach (KernelModule module in modules)
        {
            archive.AddFile($"lib/modules/{module.Name}.ko", module.Content);
        }

        archive.AddFile("lib/modules/order", Encoding.ASCII.GetBytes(string.Concat(modules.Select(module => $"{module.Name}.ko\n"))));
    }
}
