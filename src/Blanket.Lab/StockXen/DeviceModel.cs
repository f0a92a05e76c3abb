using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.StockXen;

/// <summary>What dom0 needs besides to run HVM domains: QEMU as Xen's device model, and the firmware of the PC that it emulates.</summary>
internal static class DeviceModel
{
    private const string Package = "qemu-system-xen";
    private const string Program = "usr/libexec/xen-qemu-system-i386";
    private const string Loader = "usr/lib/xen-4.17/boot/hvmloader";

    /// <summary>Packages with data, and the files of them that are needed: the BIOS, and a keyboard that nobody will use.</summary>
    private static readonly (string Package, string Path)[] Data =
    [
        ("seabios", "usr/share/seabios/bios-256k.bin"), ("qemu-system-data", "usr/share/qemu/keymaps/en-us"),
    ];

    /// <summary>Option ROM of the NIC; it has to be there. Without the signature of one it is not run, which saves the time that iPXE takes.</summary>
    private const string NicRom = "usr/lib/ipxe/qemu/efi-rtl8139.rom";

    private const int RomSize = 512;

    /// <summary>Libraries of QEMU's that a host with another QEMU may lack.</summary>
    private static readonly string[] LibraryPackages =
    [
        "libspice-server1", "libusb-1.0-0", "libjpeg62-turbo", "libfdt1", "libpixman-1-0", "libgstreamer1.0-0", "libgstreamer-plugins-base1.0-0",
        "liborc-0.4-0", "libopus0", "libsasl2-2", "libunwind8", "libdw1",
    ];

    private static readonly string[] Directories =
        ["usr/libexec", "usr/lib/xen-4.17/boot", "usr/share", "usr/share/seabios", "usr/share/qemu", "usr/share/qemu/keymaps", "usr/lib/ipxe", "usr/lib/ipxe/qemu"];

    /// <summary>Dom0's root with the device model behind it, in the cache.</summary>
    /// <param name="ramdisk">Path of dom0's root.</param>
    /// <param name="version">Changes with dom0's root.</param>
    /// <param name="packages">Where packages come from.</param>
    /// <param name="tools">Unpacked packages of Xen's.</param>
    /// <param name="cancellation">Stops the work.</param>
    internal static async Task<string> AddToAsync(
        string ramdisk, string version, DebianPackages packages, IReadOnlyList<string> tools, CancellationToken cancellation)
    {
        string directory = await CacheDirectory.OnceAsync(Path.Combine("stock-xen-hvm", $"{version}-{Version()}"), async draft =>
        {
            List<string> unpacked = [await packages.UnpackAsync(Package, null, cancellation).ConfigureAwait(false)];
            foreach (string package in LibraryPackages.Concat(Data.Select(data => data.Package)))
            {
                unpacked.Add(await packages.UnpackAsync(package, null, cancellation).ConfigureAwait(false));
            }

            byte[] archive = await BuildAsync([.. unpacked, .. tools], cancellation).ConfigureAwait(false);
            using FileStream file = File.Create(Path.Combine(draft, Path.GetFileName(ramdisk)));
            await file.WriteAsync(await File.ReadAllBytesAsync(ramdisk, cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
            await file.WriteAsync(archive, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return Path.Combine(directory, Path.GetFileName(ramdisk));
    }

    /// <summary>Changes with what is put inside.</summary>
    private static string Version() =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join(' ', [Program, Loader, NicRom, .. LibraryPackages, .. Data.Select(data => data.Path)]))))[..8];

    private static async Task<byte[]> BuildAsync(IReadOnlyList<string> packages, CancellationToken cancellation)
    {
        CpioArchive archive = new();
        foreach (string directory in Directories)
        {
            archive.AddDirectory(directory);
        }

        foreach (string path in Data.Select(data => data.Path).Append(Loader))
        {
            archive.AddFile(path, await File.ReadAllBytesAsync(Dom0Programs.Find(packages, path), cancellation).ConfigureAwait(false));
        }

        archive.AddFile(NicRom, new byte[RomSize]);
        await Dom0Programs.AddAsync(archive, packages, [(Dom0Programs.Find(packages, Program), Program)], cancellation).ConfigureAwait(false);
        return archive.ToArray();
    }
}
