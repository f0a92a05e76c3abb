using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Bench;

/// <summary>The measured guest: Debian's cloud kernel and an initramfs whose only program is <c>Guest/bench.c</c>.</summary>
public sealed class BenchGuest
{
    /// <summary>Its name on every bed.</summary>
    public const string Name = "bench";

    /// <summary>Its memory in MiB on every bed.</summary>
    public const int MemoryMiB = 256;

    /// <summary>What the host needs to make it, and the packages that have it.</summary>
    public static IReadOnlyList<(string Program, string Package)> HostPrograms { get; } =
        [(Compiler, "gcc"), ("/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev")];

    private const string Compiler = "gcc";
    private const string KernelPackage = "linux-image-cloud-amd64";
    private const string Source = "bench.c";
    private const long DiskSize = 64L << 20;

    /// <summary>Frontends of Xen, and virtio's drivers for the native run.</summary>
    private static readonly string[] ModuleNames = ["xen-blkfront", "xen-netfront", "virtio_pci", "virtio_blk", "virtio_net"];

    /// <summary>The cloud kernel has no drivers for these.</summary>
    private const string EmulatedDevicesKernelPackage = "linux-image-amd64";

    /// <summary>The AHCI disk and the Realtek NIC that QEMU emulates for a domain.</summary>
    private static readonly string[] EmulatedDevicesModuleNames = ["ahci", "sd_mod", "8139cp"];

    private BenchGuest(string kernel, string ramdisk)
    {
        Kernel = kernel;
        Ramdisk = ramdisk;
    }

    /// <summary>Path of the kernel, a bzImage.</summary>
    public string Kernel { get; }

    /// <summary>Path of the initramfs.</summary>
    public string Ramdisk { get; }

    /// <summary>Makes what is not in the cache yet.</summary>
    /// <exception cref="HostException">A package cannot be had, or the compiler failed.</exception>
    public static Task<BenchGuest> PrepareAsync(Action<string> report, CancellationToken cancellation) =>
        PrepareAsync(KernelPackage, ModuleNames, report, cancellation);

    /// <summary>The same program on a kernel with drivers for an emulated PC's devices, and with no others.</summary>
    /// <exception cref="HostException">A package cannot be had, or the compiler failed.</exception>
    public static Task<BenchGuest> PrepareForEmulatedDevicesAsync(Action<string> report, CancellationToken cancellation) =>
        PrepareAsync(EmulatedDevicesKernelPackage, EmulatedDevicesModuleNames, report, cancellation);

    private static async Task<BenchGuest> PrepareAsync(string kernelPackage, string[] moduleNames, Action<string> report, CancellationToken cancellation)
    {
        DebianKernel kernel = await DebianKernel.UnpackAsync(kernelPackage, new DebianPackages(report), cancellation).ConfigureAwait(false);
        byte[] source = BenchResource.Read(Source);
        string version = Convert.ToHexStringLower(SHA256.HashData([.. source, .. Encoding.ASCII.GetBytes(string.Join(' ', moduleNames))]))[..12];
        string directory = await CacheDirectory.OnceAsync(Path.Combine("bench-guest", $"{kernel.Release}-{version}"), async draft =>
        {
            report("compiling the measuring program");
            byte[] program = await CompileAsync(source, draft, cancellation).ConfigureAwait(false);
            byte[] archive = await ArchiveAsync(program, kernel.Modules, moduleNames, cancellation).ConfigureAwait(false);
            await File.WriteAllBytesAsync(Path.Combine(draft, "initramfs.cpio"), archive, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new BenchGuest(kernel.Image, Path.Combine(directory, "initramfs.cpio"));
    }

    /// <summary>The kernel's command line.</summary>
    /// <param name="console">Such as <c>hvc0</c>.</param>
    /// <param name="peerPort">TCP port of the host's <see cref="BenchPeer"/>; null when no device is measured.</param>
    /// <param name="profiled">Name of the row whose instructions are profiled; null for none.</param>
    public static string CommandLine(string console, int? peerPort, string? profiled) =>
        $"console={console} panic=-1 mitigations=off quiet"
        + (peerPort is int port ? string.Create(CultureInfo.InvariantCulture, $" bench_peer={port}") : " bench=cpu")
        + (profiled is null ? string.Empty : $" bench_profile={profiled}")
        + (profiled is not null && peerPort is not null ? $" bench={profiled[..profiled.IndexOf('_', StringComparison.Ordinal)]}" : string.Empty);

    /// <summary>A new empty disk.</summary>
    public static void WriteDisk(string path)
    {
        using FileStream stream = File.Create(path);
        stream.SetLength(DiskSize);
    }

    /// <summary>A guest configuration in the syntax that stock Xen and Blanket share.</summary>
    /// <param name="kernel">Path of the kernel.</param>
    /// <param name="ramdisk">Path of the initramfs.</param>
    /// <param name="disk">An entry of the list of disks.</param>
    /// <param name="commandLine">The kernel's command line.</param>
    public static string Configuration(string kernel, string ramdisk, string disk, string commandLine) => string.Create(CultureInfo.InvariantCulture, $"""
        name = "{Name}"
        type = "pv"
        memory = {MemoryMiB}
        vcpus = 1
        kernel = "{kernel}"
        ramdisk = "{ramdisk}"
        cmdline = "{commandLine}"
        disk = [ "{disk}" ]
        vif = [ "" ]
        on_crash = "destroy"

        """);

    private static async Task<byte[]> CompileAsync(byte[] source, string directory, CancellationToken cancellation)
    {
        string program = Path.Combine(directory, "bench");
        await Tool.RequireAsync(Compiler, ["-static", "-O2", "-x", "c", "-o", program, "-"], source, cancellation: cancellation).ConfigureAwait(false);
        byte[] content = await File.ReadAllBytesAsync(program, cancellation).ConfigureAwait(false);
        File.Delete(program);
        return content;
    }

    private static async Task<byte[]> ArchiveAsync(
        byte[] program, string moduleDirectory, string[] moduleNames, CancellationToken cancellation)
    {
        CpioArchive archive = Initramfs.Begin(["dev", "lib", "lib/modules", "proc", "sys"]);
        archive.AddFile("init", program, executable: true);
        await new KernelModules(moduleDirectory).AddToAsync(archive, moduleNames, cancellation).ConfigureAwait(false);
        return archive.ToArray();
    }
}
