using System;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.DefaultGuest;

/// <summary>A kernel of Debian's, unpacked from its package.</summary>
/// <param name="Image">Path of the bzImage.</param>
/// <param name="Release">As <c>uname -r</c> says it.</param>
/// <param name="Modules">Path of the module tree.</param>
public sealed record DebianKernel(string Image, string Release, string Modules)
{
    private const string ImagePrefix = "vmlinuz-";

    /// <summary>Unpacks what a metapackage stands for, unless the cache has it.</summary>
    /// <param name="metapackage">Such as <c>linux-image-cloud-amd64</c>.</param>
    /// <param name="packages">Where packages come from.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">No package source has it.</exception>
    public static async Task<DebianKernel> UnpackAsync(string metapackage, DebianPackages packages, CancellationToken cancellation)
    {
        string root = await packages.UnpackAsync(metapackage, "linux-image-", cancellation).ConfigureAwait(false);
        string image = Directory.EnumerateFiles(Path.Combine(root, "boot"), ImagePrefix + "*").Single();
        string release = Path.GetFileName(image)[ImagePrefix.Length..];
        return new DebianKernel(image, release, Path.Combine(root, "lib", "modules", release));
    }
}
