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
    private const string ToolDirectory = "usr/lib/xen-4.17/bin";

    /// <summary>The toolstack and its libraries that a Debian host does not have.</summary>
    private static readonly string[] ToolPackages =
    [
        "xen-utils-4.17", "xenstore-utils", "libxenmisc4.17", "libxencall1", "libxendevicemodel1", "libxenevtchn1", "libxenforeignmemory1",
        "libxengnttab1", "libxenhypfs1", "libxenstore4", "libxentoolcore1", "libxentoollog1", "libyajl2",
    ];

    private static readonly string[] Tools = ["xl", "xenstored", "xenconsoled", "xen-init-dom0", "libxl-save-helper"];

    private static readonly string[] StoreTools = ["xenstore-list", "xenstore-read", "xenstore-write"];

    private static readonly string[] ModuleNames =
    [
        "virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "9pnet_virtio", "9p", "bridge", "tun",
        "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs", "xen-blkback", "xen-netback",
    ];

    /// <summary>What is in the initramfs; the others come with the job.</summary>
    private static readonly string[] InitScripts = ["dom0.sh", "block.sh", "vif.sh"];

    private static readonly string[] Directories =
    [
        "bin", "dev", "etc", "etc/xen", "etc/xen/scripts", "job", "lib", "lib/modules", Dom0Programs.LibraryDirectory, "lib64", "proc", "sys", "tmp", "usr", "usr/lib",
        "usr/lib/xen-4.17", ToolDirectory, "var",
    ];

    private readonly string _directory;

    private StockXenImage(string directory)
    {
        _directory = directory;
        Ramdisk = Path.Combine(directory, "dom0.cpio");
    }

    /// <summary>Path of the hypervisor, an ELF file with multiboot's header.</summary>
    public string Hypervisor => Path.Combine(_directory, "xen");

    /// <summary>Path of dom0's kernel, an ELF file.</summary>
    public string Kernel => Path.Combine(_directory, "vmlinux");

    /// <summary>Path of dom0's root, an uncompressed initramfs.</summary>
    public string Ramdisk { get; private init; }

    /// <summary>Makes what is not in the cache yet.</summary>
    /// <param name="withDeviceModel">Dom0 can run HVM domains: its root is larger.</param>
    /// <param name="report">Takes a line for each step that takes a while.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">A package cannot be had, or a library is missing.</exception>
    public static async Task<StockXenImage> PrepareAsync(bool withDeviceModel, Action<string> report, CancellationToken cancellation)
    {
        DebianPackages packages = new(report);
        DebianKernel kernel = await DebianKernel.UnpackAsync(KernelPackage, packages, cancellation).ConfigureAwait(false);
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
            await image.WriteKernelAsync(kernel.Image, cancellation).ConfigureAwait(false);
            await image.WriteRamdiskAsync(kernel.Modules, tools, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        StockXenImage complete = new(directory);
        return withDeviceModel
            ? new StockXenImage(directory) { Ramdisk = await DeviceModel.AddToAsync(complete.Ramdisk, Path.GetFileName(directory), packages, tools, cancellation).ConfigureAwait(false) }
            : complete;
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

    private async Task WriteHypervisorAsync(string package, CancellationToken cancellation)
    {
        string compressed = Directory.EnumerateFiles(Path.Combine(package, "boot"), "xen-*.gz").Single(path => File.ResolveLinkTarget(path, false) is null);
        using FileStream source = File.OpenRead(compressed);
        using GZipStream content = new(source, CompressionMode.Decompress);
        using FileStream target = File.Create(Hypervisor);
        await content.CopyToAsync(target, cancellation).ConfigureAwait(false);
    }

    private async Task WriteKernelAsync(string kernel, CancellationToken cancellation)
    {
        byte[] elf = await GuestKernel.LoadAsync(kernel, cancellation).ConfigureAwait(false);
        await File.WriteAllBytesAsync(Kernel, elf, cancellation).ConfigureAwait(false);
    }

    private async Task WriteRamdiskAsync(string modules, IReadOnlyList<string> toolPackages, CancellationToken cancellation)
    {
        CpioArchive archive = Initramfs.Begin(Directories);
        archive.AddFile("init", Resource("dom0.sh"), executable: true);
        archive.AddFile("etc/xen/scripts/block", Resource("block.sh"), executable: true);
        archive.AddFile("etc/xen/scripts/vif", Resource("vif.sh"), executable: true);
        archive.AddFile("etc/xen/xl.conf", "autoballoon=\"off\"\n"u8);
        archive.AddLink("run", "var/run");
        Dom0Programs.AddFile(archive, "bin/busybox", Busybox);
        await Dom0Programs.AddAsync(archive, toolPackages, Programs(toolPackages), cancellation).ConfigureAwait(false);
        await new KernelModules(modules).AddToAsync(archive, ModuleNames, cancellation).ConfigureAwait(false);
        await File.WriteAllBytesAsync(Ramdisk, archive.ToArray(), cancellation).ConfigureAwait(false);
    }

    private static IEnumerable<(string Source, string Path)> Programs(IReadOnlyList<string> packages) =>
        Tools.Select(name => $"{ToolDirectory}/{name}").Select(path => (Dom0Programs.Find(packages, path), path))
            .Concat(StoreTools.Select(name => (Dom0Programs.Find(packages, $"usr/bin/{name}"), $"bin/{name}")));
}
