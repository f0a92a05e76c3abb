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

/// <summary>A guest as small as Debian's cloud kernel can be: busybox, the network's frontend and <c>Guest/density.sh</c>.</summary>
public sealed class DensityGuest
{
    private const string KernelPackage = "linux-image-cloud-amd64";
    private const string Script = "density.sh";
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

    /// <summary>Makes what is not in the cache yet.</summary>
    /// <exception cref="HostException">A package cannot be had.</exception>
    public static async Task<DensityGuest> PrepareAsync(Action<string> report, CancellationToken cancellation)
    {
        DebianKernel kernel = await DebianKernel.UnpackAsync(KernelPackage, new DebianPackages(report), cancellation).ConfigureAwait(false);
        string version = Convert.ToHexStringLower(SHA256.HashData(BenchResource.Read(Script)))[..12];
        string directory = await CacheDirectory.OnceAsync(Path.Combine("density-guest", $"{kernel.Release}-{version}"), async draft =>
        {
            byte[] archive = await ArchiveAsync(kernel.Modules, cancellation).ConfigureAwait(false);
            await File.WriteAllBytesAsync(Path.Combine(draft, "initramfs.cpio"), archive, cancellation).ConfigureAwait(false);
            await File.WriteAllBytesAsync(Path.Combine(draft, "vmlinux"), await GuestKernel.LoadAsync(kernel.Image, cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new DensityGuest(Path.Combine(directory, "vmlinux"), Path.Combine(directory, "initramfs.cpio"));
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

    private static async Task<byte[]> ArchiveAsync(string moduleDirectory, CancellationToken cancellation)
    {
        CpioArchive archive = Initramfs.Begin(["bin", "dev", "lib", "lib/modules", "proc"]);
        archive.AddFile("bin/busybox", await Initramfs.ReadBusyboxAsync(cancellation).ConfigureAwait(false), executable: true);
        archive.AddFile("init", BenchResource.Read(Script), executable: true);
        await new KernelModules(moduleDirectory).AddToAsync(archive, ModuleNames, cancellation).ConfigureAwait(false);
        return archive.ToArray();
    }
}
