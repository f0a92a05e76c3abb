using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Images;

/// <summary>Disk images with Debian and its own kernel inside, which PV-GRUB boots. Made of Debian packages, without loop devices.</summary>
public sealed class DebianImage
{
    /// <summary>The kernel package of an image that asks for no other.</summary>
    public const string DefaultKernelPackage = "linux-image-amd64";

    private const string Suite = "bookworm";
    private const string GrubPackage = "grub-xen-host";
    private const string GrubPath = "usr/lib/grub-xen/grub-x86_64-xen.bin";
    private const string Script = "make-image.sh";
    private const string KernelHook = "zz-pv-grub.sh";
    private const string ImageName = "debian.raw";

    private readonly string _image;

    private DebianImage(string image, string grub)
    {
        _image = image;
        Grub = grub;
    }

    /// <summary>Path of PV-GRUB, the <c>kernel</c> of a guest with such an image.</summary>
    public string Grub { get; }

    /// <summary>Makes what is not in the cache yet, which takes a few minutes.</summary>
    /// <param name="kernelPackage">Such as <see cref="DefaultKernelPackage"/>.</param>
    /// <param name="packages">Further packages to install.</param>
    /// <param name="report">Takes a line for each step.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">A package cannot be had, or a program failed.</exception>
    public static async Task<DebianImage> PrepareAsync(
        string kernelPackage, IReadOnlyList<string> packages, Action<string> report, CancellationToken cancellation)
    {
        DebianPackages source = new(report);
        string grub = await source.UnpackAsync(GrubPackage, null, cancellation).ConfigureAwait(false);
        string directory = await CacheDirectory.OnceAsync(Path.Combine("debian-image", $"{kernelPackage}-{Version(packages)}"), async draft =>
        {
            report($"making a disk image of Debian with {kernelPackage}: this takes a few minutes, once");
            string lines = await source.SourcesAsync(Suite, cancellation).ConfigureAwait(false);
            string sources = await WriteAsync(draft, "sources.list", Encoding.ASCII.GetBytes(lines), cancellation).ConfigureAwait(false);
            string script = await WriteAsync(draft, Script, Resource(Script), cancellation).ConfigureAwait(false);
            string hook = await WriteAsync(draft, KernelHook, Resource(KernelHook), cancellation).ConfigureAwait(false);
            string included = string.Join(',', packages.Prepend(kernelPackage));
            await Tool.RequireAsRootAsync("sh", [script, Path.Combine(draft, ImageName), Suite, included, sources, hook], cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new DebianImage(Path.Combine(directory, ImageName), Path.Combine(grub, GrubPath));
    }

    /// <summary>Writes an image for one guest.</summary>
    /// <param name="path">The file to write.</param>
    /// <param name="login">Who may log in, and the host's name.</param>
    /// <param name="cancellation">Stops the work.</param>
    public async Task WriteAsync(string path, ImageLogin login, CancellationToken cancellation)
    {
        await Tool.RequireAsync("cp", ["--sparse=always", "--reflink=auto", _image, path], cancellation: cancellation).ConfigureAwait(false);
        using ImageEditor editor = new(path);
        editor.Add("/etc/hostname", Encoding.ASCII.GetBytes(login.HostName + "\n"));
        editor.Add("/etc/hosts", Encoding.ASCII.GetBytes($"127.0.0.1 localhost\n127.0.1.1 {login.HostName}\n::1 localhost\n"));
        if (login.AuthorizedKeys.Length > 0)
        {
            editor.Add("/root/.ssh/authorized_keys", Encoding.UTF8.GetBytes(login.AuthorizedKeys));
        }

        if (login.Password is string password)
        {
            await editor.SetRootPasswordAsync(password, cancellation).ConfigureAwait(false);
        }

        await editor.AddHostKeysAsync(login.HostName, cancellation).ConfigureAwait(false);
        await editor.WriteAsync(cancellation).ConfigureAwait(false);
    }

    private static async Task<string> WriteAsync(string directory, string name, byte[] content, CancellationToken cancellation)
    {
        string path = Path.Combine(directory, name);
        await File.WriteAllBytesAsync(path, content, cancellation).ConfigureAwait(false);
        return path;
    }

    /// <summary>Changes with the recipe.</summary>
    private static string Version(IReadOnlyList<string> packages) =>
        Convert.ToHexStringLower(SHA256.HashData([.. Resource(Script), .. Resource(KernelHook), .. Encoding.UTF8.GetBytes(string.Join(' ', packages))]))[..12];

    private static byte[] Resource(string name)
    {
        using Stream stream = typeof(DebianImage).Assembly.GetManifestResourceStream("images/" + name)!;
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
