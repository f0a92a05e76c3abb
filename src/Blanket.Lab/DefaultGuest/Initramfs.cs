using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.DefaultGuest;

/// <summary>The small guest's root: busybox, a few modules and a script.</summary>
public static class Initramfs
{
    /// <summary>Debian's busybox-static.</summary>
    private const string Busybox = "/bin/busybox";

    /// <summary>Frontends of Xen, and virtio's drivers for a run of the same kernel without Blanket.</summary>
    private static readonly string[] ModuleNames = ["xen-blkfront", "xen-netfront", "virtio_pci", "virtio_blk", "virtio_net"];

    /// <summary>An archive for a kernel, not compressed: the kernel would spend more time on unpacking than is saved.</summary>
    /// <param name="moduleDirectory">The kernel's module tree.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">busybox is missing or not static.</exception>
    public static async Task<byte[]> BuildAsync(string moduleDirectory, CancellationToken cancellation)
    {
        CpioArchive archive = Begin(["bin", "dev", "etc", "lib", "lib/modules", "proc", "sys", "tmp"]);
        archive.AddFile("bin/busybox", await ReadBusyboxAsync(cancellation).ConfigureAwait(false), executable: true);
        archive.AddFile("init", Resource("init.sh"), executable: true);
        archive.AddFile("lib/setup.sh", Resource("setup.sh"));
        archive.AddFile("lib/udhcpc.sh", Resource("udhcpc.sh"), executable: true);
        await new KernelModules(moduleDirectory).AddToAsync(archive, ModuleNames, cancellation).ConfigureAwait(false);
        return archive.ToArray();
    }

    /// <summary>An archive with directories, <c>dev</c> among them, and the devices that a first process needs.</summary>
    internal static CpioArchive Begin(IEnumerable<string> directories)
    {
        CpioArchive archive = new();
        foreach (string directory in directories)
        {
            archive.AddDirectory(directory);
        }

        archive.AddCharacterDevice("dev/console", 5, 1);
        archive.AddCharacterDevice("dev/null", 1, 3);
        return archive;
    }

    /// <summary>A file of this assembly.</summary>
    internal static byte[] Resource(string name)
    {
        using Stream stream = typeof(Initramfs).Assembly.GetManifestResourceStream(name)!;
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    /// <summary>Debian's static busybox.</summary>
    /// <exception cref="HostException">It is missing or not static.</exception>
    internal static async Task<byte[]> ReadBusyboxAsync(CancellationToken cancellation)
    {
        if (!File.Exists(Busybox))
        {
            throw new HostException($"{Busybox} is missing (Debian package busybox-static)");
        }

        byte[] content = await File.ReadAllBytesAsync(Busybox, cancellation).ConfigureAwait(false);
        const uint interpreterSegment = 3;
        bool isDynamic = Kernels.ElfFile.Parse(content).Segments.Any(segment => segment.Type == interpreterSegment);
        return isDynamic ? throw new HostException($"{Busybox} is not static (Debian package busybox-static replaces it)") : content;
    }
}
