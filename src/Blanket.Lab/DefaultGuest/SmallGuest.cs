using System;
using System.Globalization;
using System.IO;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.DefaultGuest;

/// <summary>A small guest with Debian's own kernel, made from Debian packages and kept in the cache.</summary>
public sealed class SmallGuest
{
    /// <summary>Its name.</summary>
    public const string Name = "guest";

    /// <summary>The kernel's package unless another is asked for.</summary>
    public const string DefaultKernelPackage = "linux-image-cloud-amd64";

    private const int MemoryMiB = 256;
    private const long DiskSize = 64L << 20;

    private SmallGuest(string kernel, string ramdisk)
    {
        Kernel = kernel;
        Ramdisk = ramdisk;
    }

    /// <summary>Path of the kernel, a bzImage.</summary>
    public string Kernel { get; }

    /// <summary>Path of the initramfs.</summary>
    public string Ramdisk { get; }

    /// <summary>Makes what is not in the cache yet.</summary>
    /// <exception cref="HostException">A package cannot be had.</exception>
    public static Task<SmallGuest> PrepareAsync(Action<string> report, CancellationToken cancellation) =>
        PrepareAsync(DefaultKernelPackage, report, cancellation);

    /// <summary>Makes what is not in the cache yet of a small guest with another kernel.</summary>
    /// <param name="kernelPackage">A metapackage of Debian's kernels.</param>
    /// <param name="report">Takes a line for each step.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">A package cannot be had.</exception>
    public static async Task<SmallGuest> PrepareAsync(string kernelPackage, Action<string> report, CancellationToken cancellation)
    {
        DebianKernel kernel = await DebianKernel.UnpackAsync(kernelPackage, new DebianPackages(report), cancellation).ConfigureAwait(false);
        string directory = await CacheDirectory.OnceAsync(
            Path.Combine("small-guest", $"{kernel.Release}-{InitramfsVersion()}"),
            async draft =>
            {
                report($"building an initramfs for Linux {kernel.Release}");
                byte[] archive = await Initramfs.BuildAsync(kernel.Modules, cancellation).ConfigureAwait(false);
                await File.WriteAllBytesAsync(Path.Combine(draft, "initramfs.cpio"), archive, cancellation).ConfigureAwait(false);
            }).ConfigureAwait(false);
        return new SmallGuest(kernel.Image, Path.Combine(directory, "initramfs.cpio"));
    }

    /// <summary>Writes a configuration and a new empty disk to a directory.</summary>
    /// <param name="directory">An existing directory.</param>
    /// <param name="selfTest">The guest checks itself and powers off instead of giving a shell.</param>
    /// <returns>Path of the configuration.</returns>
    public string WriteConfiguration(string directory, bool selfTest)
    {
        string disk = Path.Combine(directory, "disk.raw");
        using (FileStream stream = File.Create(disk))
        {
            stream.SetLength(DiskSize);
        }

        string path = Path.Combine(directory, Name + ".cfg");
        File.WriteAllText(path, string.Create(CultureInfo.InvariantCulture, $"""
            name = "{Name}"
            type = "pv"
            memory = {MemoryMiB}
            vcpus = 1
            kernel = "{Kernel}"
            ramdisk = "{Ramdisk}"
            cmdline = "{CommandLine("hvc0", selfTest)}"
            disk = [ "format=raw, vdev=xvda, access=rw, target={disk}" ]
            vif = [ "" ]

            """));
        return path;
    }

    /// <summary>The kernel's command line for a console.</summary>
    public static string CommandLine(string console, bool selfTest) =>
        $"console={console} panic=-1" + (selfTest ? " blanket.selftest" : " quiet");

    /// <summary>Changes with the scripts inside, so that an old initramfs is not used after an update.</summary>
    private static string InitramfsVersion() =>
        Convert.ToHexStringLower(SHA256.HashData([.. Initramfs.Resource("init.sh"), .. Initramfs.Resource("setup.sh"), .. Initramfs.Resource("udhcpc.sh")]))[..12];
}
