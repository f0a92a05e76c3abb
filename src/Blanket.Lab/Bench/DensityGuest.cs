using System;
using System.Globalization;
using System.IO;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;
using Blanket.Lab.Kernels;

namespace Blanket.Lab.Bench;

/// <summary>A guest as small as its kernel can be: busybox, the network's frontend and <c>Guest/density.sh</c>.</summary>
public sealed class DensityGuest
{
    private const string StockPackage = "linux-image-cloud-amd64";
    private const string Script = "density.sh";
    private const string Folder = "density-guest";
    private const string RamdiskFile = "initramfs.cpio";
    private const string KernelFile = "vmlinux";
    private static readonly string[] ModuleNames = ["xen-netfront"];

    private DensityGuest(string kernel, string ramdisk)
    {
        Kernel = kernel;
        Ramdisk = ramdisk;
    }

    /// <summary>Path of the kernel, decompressed: it is read once for each guest.</summary>
    public string Kernel { get; }

    /// <summary>Path of the initramfs.</summary>
    public string Ramdisk { get; }

    /// <summary>Memory in MiB that it starts with.</summary>
    public required int StartMemoryMiB { get; init; }

    /// <summary>Memory in MiB that it is left with: its balloon gives the rest back.</summary>
    public required int KeptMemoryMiB { get; init; }

    /// <summary>Makes what is not in the cache yet of a guest with <see cref="MinimalKernel"/>.</summary>
    /// <exception cref="HostException">A package cannot be had, or the kernel's build failed.</exception>
    public static async Task<DensityGuest> PrepareAsync(Action<string> report, CancellationToken cancellation)
    {
        string kernel = await MinimalKernel.PrepareAsync(report, cancellation).ConfigureAwait(false);
        string directory = await CacheDirectory.OnceAsync(Path.Combine(Folder, ScriptVersion()), async draft =>
        {
            CpioArchive archive = await BeginAsync(cancellation).ConfigureAwait(false);
            archive.AddFile("lib/modules/order", []);
            await File.WriteAllBytesAsync(Path.Combine(draft, RamdiskFile), archive.ToArray(), cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new DensityGuest(kernel, Path.Combine(directory, RamdiskFile)) { StartMemoryMiB = 32, KeptMemoryMiB = 32 };
    }

    /// <summary>Makes what is not in the cache yet of a guest with Debian's cloud kernel, which needs some 80 MiB until it has freed what only its start needs.</summary>
    /// <exception cref="HostException">A package cannot be had.</exception>
    public static async Task<DensityGuest> PrepareStockAsync(Action<string> report, CancellationToken cancellation)
    {
        DebianKernel kernel = await DebianKernel.UnpackAsync(StockPackage, new DebianPackages(report), cancellation).ConfigureAwait(false);
        string directory = await CacheDirectory.OnceAsync(Path.Combine(Folder, $"{kernel.Release}-{ScriptVersion()}"), async draft =>
        {
            CpioArchive archive = await BeginAsync(cancellation).ConfigureAwait(false);
            await new KernelModules(kernel.Modules).AddToAsync(archive, ModuleNames, cancellation).ConfigureAwait(false);
            await File.WriteAllBytesAsync(Path.Combine(draft, RamdiskFile), archive.ToArray(), cancellation).ConfigureAwait(false);
            byte[] elf = await GuestKernel.LoadAsync(kernel.Image, cancellation).ConfigureAwait(false);
            await File.WriteAllBytesAsync(Path.Combine(draft, KernelFile), elf, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new DensityGuest(Path.Combine(directory, KernelFile), Path.Combine(directory, RamdiskFile)) { StartMemoryMiB = 88, KeptMemoryMiB = 72 };
    }

    /// <summary>Writes a configuration.</summary>
    /// <param name="directory">An existing directory.</param>
    /// <param name="name">The guest's name.</param>
    /// <param name="memoryMiB">Its memory.</param>
    /// <param name="role">What it does: <c>address=A</c> or <c>watcher=A</c>.</param>
    /// <returns>Its path.</returns>
    public string Write(string directory, string name, int memoryMiB, string role)
    {
        string path = Path.Combine(directory, name + ".cfg");
        File.WriteAllText(path, string.Create(CultureInfo.InvariantCulture, $"""
            name = "{name}"
            type = "pv"
            memory = {memoryMiB}
            vcpus = 1
            kernel = "{Kernel}"
            ramdisk = "{Ramdisk}"
            cmdline = "console=hvc0 panic=-1 quiet {role}"
            vif = [ "" ]
            on_crash = "destroy"
            on_reboot = "destroy"

            """));
        return path;
    }

    /// <summary>Changes with what is in the initramfs besides the kernel's modules.</summary>
    private static string ScriptVersion() => Convert.ToHexStringLower(SHA256.HashData(BenchResource.Read(Script)))[..12];

    private static async Task<CpioArchive> BeginAsync(CancellationToken cancellation)
    {
        CpioArchive archive = Initramfs.Begin(["bin", "dev", "lib", "lib/modules", "proc"]);
        archive.AddFile("bin/busybox", await Initramfs.ReadBusyboxAsync(cancellation).ConfigureAwait(false), executable: true);
        archive.AddFile("init", BenchResource.Read(Script), executable: true);
        return archive;
    }
}
