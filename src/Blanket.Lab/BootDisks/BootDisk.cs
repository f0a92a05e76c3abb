using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.BootDisks;

/// <summary>
/// A disk that starts Blanket with its guests on any machine: GRUB for BIOS and for UEFI, blanket.elf and a boot bundle. The image is
/// what <c>grub-mkrescue</c> makes, which firmware takes for a disk with partitions and for a CD alike.
/// </summary>
public static class BootDisk
{
    private const string ImageName = "blanket.elf";
    private const string BundleName = "guests.bundle";
    private const string KernelName = "vmlinuz";
    private const string RamdiskName = "initrd";

    private static readonly string[] Platforms = ["i386-pc", "x86_64-efi"];

    /// <summary>GRUB's modules for each kind of firmware, where Debian's packages put them.</summary>
    private const string ModuleDirectory = "/usr/lib/grub";

    /// <summary>Writes a disk image that starts Blanket; an existing file is replaced when the new one is complete.</summary>
    /// <param name="image">Path of blanket.elf.</param>
    /// <param name="bundle">The boot bundle.</param>
    /// <param name="path">The file to write.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">GRUB or what it needs is missing.</exception>
    public static Task WriteAsync(string image, byte[] bundle, string path, CancellationToken cancellation) =>
        WriteAsync($"multiboot2 /boot/{ImageName}", $"module2 /boot/{BundleName}", path, async boot =>
        {
            File.Copy(image, Path.Combine(boot, ImageName));
            await WriteCompressedAsync(bundle, Path.Combine(boot, BundleName), cancellation).ConfigureAwait(false);
        }, cancellation);

    /// <summary>Writes a disk image that starts Linux in Blanket's place.</summary>
    /// <param name="kernel">Path of a bzImage.</param>
    /// <param name="ramdisk">Path of its ramdisk.</param>
    /// <param name="commandLine">Its command line, of words that GRUB's shell takes as they are.</param>
    /// <param name="path">The file to write.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">GRUB or what it needs is missing.</exception>
    public static Task WriteLinuxAsync(string kernel, string ramdisk, string commandLine, string path, CancellationToken cancellation) =>
        WriteAsync($"linux /boot/{KernelName} {commandLine}", $"initrd /boot/{RamdiskName}", path, boot =>
        {
            File.Copy(kernel, Path.Combine(boot, KernelName));
            File.Copy(ramdisk, Path.Combine(boot, RamdiskName));
            return Task.CompletedTask;
        }, cancellation);

    /// <summary>Only what starts by itself: a cloud's machine has nobody at its screen.</summary>
    private static string Configuration(string load, string loadModule) => $$"""
        set timeout=0
        insmod gzio
        menuentry Blanket {
            {{load}}
            {{loadModule}}
        }

        """;

    private static async Task WriteAsync(string load, string loadModule, string path, Func<string, Task> fill, CancellationToken cancellation)
    {
        RequireModules();
        string directory = Directory.CreateTempSubdirectory("blanket-disk-").FullName;
        try
        {
            string boot = Path.Combine(directory, "boot");
            string grub = Path.Combine(boot, "grub");
            Directory.CreateDirectory(grub);
            await fill(boot).ConfigureAwait(false);
            await File.WriteAllTextAsync(Path.Combine(grub, "grub.cfg"), Configuration(load, loadModule), cancellation).ConfigureAwait(false);
            string draft = path + ".part";
            try
            {
                await Tool.RequireAsync("grub-mkrescue", Arguments(draft, directory), cancellation: cancellation).ConfigureAwait(false);
                File.Move(draft, path, overwrite: true);
            }
            finally
            {
                File.Delete(draft);
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>
    /// GRUB unpacks modules that are compressed by gzip. A BIOS reads 32 KiB at a time, which takes longer than unpacking where its disk is
    /// emulated by another domain.
    /// </summary>
    private static async Task WriteCompressedAsync(byte[] bundle, string path, CancellationToken cancellation)
    {
        using FileStream file = File.Create(path);
        using GZipStream compressed = new(file, CompressionLevel.Optimal);
        await compressed.WriteAsync(bundle, cancellation).ConfigureAwait(false);
    }

    /// <summary>A bundle can be larger than the 4 GiB of a file in ISO 9660 level 2.</summary>
    private static IEnumerable<string> Arguments(string output, string directory) =>
        ["-o", output, directory, "-iso-level", "3", "-volid", "BLANKET"];

    /// <summary>grub-mkrescue leaves out a platform whose modules are not there, and the disk would not boot on it.</summary>
    private static void RequireModules()
    {
        foreach (string platform in Platforms)
        {
            string directory = Path.Combine(ModuleDirectory, platform);
            if (!Directory.Exists(directory))
            {
                throw new HostException($"GRUB's modules in {directory} are missing; ./blanket doctor says which package has them");
            }
        }
    }
}
