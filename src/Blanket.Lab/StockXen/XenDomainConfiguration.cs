using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Blanket.Lab.Bundles;
using Blanket.Lab.Qemu;

namespace Blanket.Lab.StockXen;

/// <summary>Writes the configuration that dom0's xl gets for a domain (xl.cfg(5)); docs/platform.md, "Xen as L0", says why it is so.</summary>
public static class XenDomainConfiguration
{
    /// <summary>Where dom0 sees the files of the run.</summary>
    internal const string JobDirectory = "/job";

    /// <summary>The kernel's name there.</summary>
    internal const string KernelFile = "kernel";

    /// <summary>The ramdisk's or bundle's name there.</summary>
    internal const string ModuleFile = "module";

    /// <summary>Emulated IDE disks: <c>xvda</c> to <c>xvdd</c> of an HVM domain are these, too.</summary>
    private const int EmulatedDisks = 4;

    /// <summary>The configuration.</summary>
    public static string Write(XenDomain domain)
    {
        MachineOptions machine = domain.Machine;
        List<string> lines =
        [
            Text("name", XenDomain.Name),
            Text("type", TypeName(domain.Type)),
            Invariant($"memory = {machine.MemoryMiB}"),
            Invariant($"vcpus = {machine.Cpus}"),
            .. domain.BootDisk is null ? Kernel(machine) : Firmware(),
            $"disk = [ {string.Join(", ", Disks(domain).Select(Quote))} ]",
            $"vif = [ {string.Join(", ", Enumerable.Range(0, machine.Nics).Select(Vif).Select(Quote))} ]",
            .. domain.HasNativeTsc ? [Text("tsc_mode", "native")] : Array.Empty<string>(),
            Text("on_poweroff", "destroy"),
            Text("on_reboot", "destroy"),
            Text("on_crash", "destroy"),
        ];
        return string.Concat(lines.Select(line => line + "\n"));
    }

    /// <summary>The letters of disk number n: a, b, ... z, aa, ... as Linux counts.</summary>
    /// <param name="index">From 0.</param>
    public static string DiskLetters(int index)
    {
        const int letters = 26;
        string last = ((char)('a' + (index % letters))).ToString();
        return index < letters ? last : DiskLetters((index / letters) - 1) + last;
    }

    private static string TypeName(XenDomainType type) => type switch
    {
        XenDomainType.Pvh => "pvh",
        XenDomainType.Hvm => "hvm",
        XenDomainType.Pv => "pv",
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    private static IEnumerable<string> Kernel(MachineOptions machine)
    {
        yield return Text("kernel", $"{JobDirectory}/{KernelFile}");
        if (machine.Module is not null)
        {
            yield return Text("ramdisk", $"{JobDirectory}/{ModuleFile}");
        }

        if (machine.CommandLine.Length > 0)
        {
            yield return Text("cmdline", machine.CommandLine);
        }
    }

    /// <summary>SeaBIOS reads an AHCI disk by DMA; a word at a time through an IDE port takes minutes in software emulation.</summary>
    private static IEnumerable<string> Firmware() =>
        [Text("boot", "c"), Text("hdtype", "ahci"), Text("vga", "none"), "vnc = 0", "usb = 0", "xen_platform_pci = 1"];

    private static IEnumerable<string> Disks(XenDomain domain)
    {
        IReadOnlyList<PlannedDisk> disks = domain.Machine.Disks;
        IEnumerable<string> guests = disks.Select((disk, index) => Disk(DeviceName(domain, index), index, disk.Specification.ReadOnly, disk.Specification.Discard));

        // The boot disk is the last of dom0's.
        return domain.BootDisk is null ? guests : guests.Prepend(Disk("hda", disks.Count, isReadOnly: false, discard: false));
    }

    private static string DeviceName(XenDomain domain, int index) => domain switch
    {
        { BootDisk: null } => $"xvd{DiskLetters(index)}",
        { HasEmulatedDisks: true } => $"hd{DiskLetters(index + 1)}",
        _ => $"xvd{DiskLetters(index + EmulatedDisks)}",
    };

    private static string Disk(string device, int index, bool isReadOnly, bool discard) =>
        $"format=raw, vdev={device}, access={(isReadOnly ? "ro" : "rw")}, backendtype=phy, {(discard ? "discard" : "no-discard")}, target=/dev/vd{DiskLetters(index)}";

    /// <summary>An address of Xen's range that stays the same from run to run.</summary>
    private static string Vif(int index) => Invariant($"mac=00:16:3e:00:{index >> 8:x2}:{index & 0xff:x2}, bridge=nic{index}, script=vif");

    private static string Text(string key, string value) => $"{key} = {Quote(value)}";

    /// <summary>A string of xl's: in quotation marks that it does not contain; control characters have no place in one.</summary>
    private static string Quote(string value)
    {
        char mark = value.Contains('"', StringComparison.Ordinal) ? '\'' : '"';
        return value.Contains(mark, StringComparison.Ordinal) || value.Any(char.IsControl)
            ? throw new Configuration.InputException($"xl cannot be given the text {value}")
            : new StringBuilder().Append(mark).Append(value).Append(mark).ToString();
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
