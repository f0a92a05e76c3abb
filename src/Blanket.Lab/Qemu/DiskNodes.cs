using System;
using System.Text.Json.Nodes;
using Blanket.Lab.Configuration;

namespace Blanket.Lab.Qemu;

/// <summary>QEMU's block nodes behind a disk device: an image's file and its format, or an empty disk.</summary>
/// <param name="device">The device's id.</param>
internal readonly struct DiskNodes(string device)
{
    /// <summary>Name of the file's node.</summary>
    internal string FileName => "file." + device;

    /// <summary>Name of the format's node, which the device uses.</summary>
    internal string FormatName => "disk." + device;

    /// <summary>Name of the empty disk's node.</summary>
    internal string EmptyName => "empty." + device;

    /// <summary>
    /// The image's file. The host's page cache is used, and a flush of the guest's is one of the host's file: 'cache.no-flush' stays off, and the
    /// device keeps its write cache announced.
    /// </summary>
    internal JsonObject File(DiskSpecification disk) => new()
    {
        ["driver"] = disk.Target.StartsWith("/dev/", StringComparison.Ordinal) ? "host_device" : "file",
        ["node-name"] = FileName,
        ["filename"] = disk.Target,
        ["read-only"] = disk.ReadOnly,
        ["discard"] = "unmap",
    };

    /// <summary>The image.</summary>
    internal JsonObject Format(DiskSpecification disk) => new()
    {
        ["driver"] = DriverOf(disk.Format),
        ["node-name"] = FormatName,
        ["file"] = FileName,
        ["read-only"] = disk.ReadOnly,
        ["discard"] = "unmap",
    };

    /// <summary>A disk without sectors.</summary>
    internal JsonObject Empty(bool isReadOnly) => new()
    {
        ["driver"] = "null-co",
        ["node-name"] = EmptyName,
        ["size"] = 0,
        ["read-only"] = isReadOnly,
    };

    private static string DriverOf(DiskFormat format) => format switch
    {
        DiskFormat.Raw => "raw",
        DiskFormat.Qcow => "qcow",
        DiskFormat.Qcow2 => "qcow2",
        DiskFormat.Vhd => "vpc",
        DiskFormat.Qed => "qed",
        _ => throw new ArgumentOutOfRangeException(nameof(format)),
    };
}
