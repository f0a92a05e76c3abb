using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Blanket.Abi;

namespace Blanket.Lab.Configuration;

/// <summary>Turns a file in xl.cfg(5) syntax into a <see cref="GuestConfiguration"/>.</summary>
public sealed class GuestConfigurationReader
{
    private const long MaximumMemoryMiB = 1L << 24;
    private const long MinimumMemoryMiB = 4;
    private const string ActionsExpected = "destroy, restart, preserve, rename-restart, coredump-destroy or coredump-restart";

    private readonly XlSettings _settings;
    private readonly string _directory;

    private GuestConfigurationReader(XlSettings settings, string directory)
    {
        _settings = settings;
        _directory = directory;
    }

    /// <summary>Reads a file.</summary>
    /// <returns>The guest, and one line of warning for each thing that has no effect.</returns>
    /// <exception cref="InputException">The file cannot be read or is wrong.</exception>
    public static (GuestConfiguration Guest, IReadOnlyList<string> Warnings) ReadFile(string path)
    {
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: cannot be read ({e.Message}), expected a guest configuration in xl.cfg(5) syntax");
        }

        return Read(path, text, Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Reads text.</summary>
    /// <param name="file">Name for messages.</param>
    /// <param name="text">The configuration.</param>
    /// <param name="directory">What relative paths start from.</param>
    /// <exception cref="InputException">The text is wrong.</exception>
    public static (GuestConfiguration Guest, IReadOnlyList<string> Warnings) Read(string file, string text, string directory)
    {
        XlSettings settings = new(file, XlParser.Parse(file, text));
        GuestConfiguration guest = new GuestConfigurationReader(settings, directory).ReadGuest();
        WarnOfUnused(settings);
        return (guest, settings.Warnings);
    }

    private static void WarnOfUnused(XlSettings settings)
    {
        foreach ((string key, SourceLine source) in settings.Unused)
        {
            string? reason = XlKeys.ReasonToIgnore(key);
            settings.Warn(source, reason is null ? $"unknown key '{key}' is ignored" : $"key '{key}' {reason}");
        }
    }

    private GuestConfiguration ReadGuest()
    {
        RequireParavirtual();
        RequireDirectBoot();
        string name = ReadName();
        (long memory, long maximumMemory, long minimumMemory) = ReadMemory();
        (int vcpus, int maximumVcpus) = ReadVcpus();
        return new GuestConfiguration
        {
            Source = _settings.SourceOf("name"),
            Name = name,
            Uuid = ReadUuid(name),
            MemoryMiB = memory,
            MaximumMemoryMiB = maximumMemory,
            MinimumMemoryMiB = minimumMemory,
            Vcpus = vcpus,
            MaximumVcpus = maximumVcpus,
            Kernel = ReadFilePath("kernel") ?? throw Missing("kernel", "kernel = \"PATH\", a Linux kernel or PV-GRUB"),
            KernelSource = _settings.SourceOf("kernel"),
            Ramdisk = ReadFilePath("ramdisk"),
            CommandLine = ReadCommandLine(),
            OnPoweroff = ReadAction("on_poweroff", BootBundleAction.Destroy),
            OnReboot = ReadAction("on_reboot", BootBundleAction.Restart),
            OnCrash = ReadAction("on_crash", BootBundleAction.Destroy),
            OnWatchdog = ReadAction("on_watchdog", BootBundleAction.Destroy),
            Weight = (uint)(_settings.FindNumber("cpu_weight", 1, BootBundle.MaximumWeight) ?? BootBundle.DefaultWeight),
            Cap = (uint)(_settings.FindNumber("cap", 0, 100 * BootBundle.MaximumVcpus) ?? 0),
            Affinities = ReadAffinities(maximumVcpus),
            Disks = ReadLimitedDisks(),
            Vifs = ReadVifs(name),
        };
    }

    private InputException Missing(string key, string expected) =>
        new(new SourceLine(_settings.File, 1), $"{key} is missing, expected {expected}");

    private InputException Error(string key, string message) => new(_settings.SourceOf(key), message);

    private void RequireParavirtual()
    {
        string? type = _settings.FindString("type");
        if (type is not (null or "pv"))
        {
            throw Error("type", $"type = \"{type}\", expected type = \"pv\": Blanket runs paravirtualized guests");
        }

        string? builder = _settings.FindString("builder");
        if (builder is not (null or "generic" or "linux"))
        {
            throw Error("builder", $"builder = \"{builder}\", expected type = \"pv\": Blanket runs paravirtualized guests");
        }
    }

    private void RequireDirectBoot()
    {
        if (_settings.FindString("bootloader") is string bootloader)
        {
            throw Error(
                "bootloader",
                $"bootloader = \"{bootloader}\" would run outside the guest, expected kernel = \"PATH\" of PV-GRUB, which boots from the guest's own disk "
                + "(Debian package grub-xen-host: /usr/lib/grub-xen/grub-x86_64-xen.bin)");
        }
    }

    private string ReadName()
    {
        string name = _settings.FindString("name") ?? throw Missing("name", "name = \"...\"");
        return GuestName.IsValid(name)
            ? name
            : throw Error("name", $"name = \"{name}\", expected 1 to {GuestName.MaximumLength} letters, digits or any of - _ . + with a letter or digit first");
    }

    /// <summary>The uuid, or one that stays the same for the same name, so that a guest keeps its identity from run to run.</summary>
    private Guid ReadUuid(string name)
    {
        string? text = _settings.FindString("uuid");
        if (text is null)
        {
            byte[] bytes = SHA256.HashData(Encoding.UTF8.GetBytes("uuid/" + name))[..16];
            bytes[6] = (byte)((bytes[6] & 0x0F) | 0x80);
            bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
            return new Guid(bytes, bigEndian: true);
        }

        return Guid.TryParseExact(text, "D", out Guid uuid)
            ? uuid
            : throw Error("uuid", $"uuid = \"{text}\", expected 32 hexadecimal digits as xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    }

    /// <summary>Besides xl's keys <c>memory_min</c>, Blanket's own: a guest without it keeps what it has.</summary>
    private (long Memory, long Maximum, long Minimum) ReadMemory()
    {
        long? memory = _settings.FindNumber("memory", MinimumMemoryMiB, MaximumMemoryMiB);
        long? maximum = _settings.FindNumber("maxmem", MinimumMemoryMiB, MaximumMemoryMiB);
        long start = memory ?? maximum ?? throw Missing("memory", "memory = MIB");
        if (maximum < start)
        {
            throw Error("maxmem", $"maxmem = {maximum}, expected at least memory = {start}");
        }

        long? minimum = _settings.FindNumber("memory_min", MinimumMemoryMiB, MaximumMemoryMiB);
        if (minimum > start)
        {
            throw Error("memory_min", $"memory_min = {minimum}, expected at most memory = {start}");
        }

        return (start, maximum ?? start, minimum ?? start);
    }

    private (int Vcpus, int Maximum) ReadVcpus()
    {
        int? vcpus = (int?)_settings.FindNumber("vcpus", 1, BootBundle.MaximumVcpus);
        int? maximum = (int?)_settings.FindNumber("maxvcpus", 1, BootBundle.MaximumVcpus);
        int start = vcpus ?? maximum ?? 1;
        if (maximum < start)
        {
            throw Error("maxvcpus", $"maxvcpus = {maximum}, expected at least vcpus = {start}");
        }

        return (start, maximum ?? start);
    }

    private string? ReadFilePath(string key)
    {
        string? path = _settings.FindString(key);
        if (path is null)
        {
            return null;
        }

        string absolute = Path.GetFullPath(path, _directory);
        return File.Exists(absolute) ? absolute : throw Error(key, $"{key} = \"{path}\": no such file, expected a file at {absolute}");
    }

    private string ReadCommandLine()
    {
        string? commandLine = _settings.FindString("cmdline");
        string? root = _settings.FindString("root");
        string? extra = _settings.FindString("extra");
        string key = commandLine is not null ? "cmdline" : extra is not null ? "extra" : "root";
        if (commandLine is not null && (root ?? extra) is not null)
        {
            _settings.Warn(_settings.SourceOf("cmdline"), "cmdline is set: root and extra are ignored");
        }

        string line = commandLine ?? string.Join(' ', new[] { root is null ? null : "root=" + root, extra }.Where(part => !string.IsNullOrEmpty(part)));
        int length = Encoding.UTF8.GetByteCount(line);
        if (length > BootBundle.MaximumCommandLine || line.Contains('\0', StringComparison.Ordinal))
        {
            throw Error(key, $"the kernel command line has {length} bytes, expected at most {BootBundle.MaximumCommandLine} and no NUL");
        }

        return line;
    }

    private BootBundleAction ReadAction(string key, BootBundleAction initial) => _settings.FindString(key) switch
    {
        null => initial,
        "destroy" => BootBundleAction.Destroy,
        "restart" => BootBundleAction.Restart,
        "preserve" => BootBundleAction.Preserve,
        "rename-restart" => BootBundleAction.RenameRestart,
        "coredump-destroy" => BootBundleAction.CoredumpDestroy,
        "coredump-restart" => BootBundleAction.CoredumpRestart,
        string other => throw Error(key, $"{key} = \"{other}\", expected {ActionsExpected}"),
    };

    private IReadOnlyList<CpuSet> ReadAffinities(int vcpus)
    {
        XlValue? value = _settings.Find("cpus");
        switch (value)
        {
            case null:
                return [];
            case XlString text:
                CpuSet all = ParseCpus(text.Source, text.Text);
                return all.IsEveryCpu ? [] : [all];
            case XlNumber number:
                return [ParseCpus(number.Source, number.Text)];
            case XlList list when list.Items.Count is > 0 && list.Items.Count <= vcpus:
                return ExpandAffinities(list, vcpus);
            default:
                throw Error("cpus", $"cpus has more entries than the guest has virtual CPUs, or none, expected 1 to {vcpus}");
        }
    }

    /// <summary>One set for each virtual CPU; those past the list may run anywhere.</summary>
    private static IReadOnlyList<CpuSet> ExpandAffinities(XlList list, int vcpus)
    {
        IEnumerable<CpuSet> listed = list.Items.Select(item => item switch
        {
            XlString text => ParseCpus(text.Source, text.Text),
            XlNumber number => ParseCpus(number.Source, number.Text),
            _ => throw new InputException(item.Source, $"cpus contains {item.Kind}, expected a \"CPULIST\""),
        });
        CpuSet anywhere = CpuSet.TryParse("all")!;
        return [.. listed.Concat(Enumerable.Repeat(anywhere, vcpus)).Take(vcpus)];
    }

    private static CpuSet ParseCpus(SourceLine source, string text) =>
        CpuSet.TryParse(text) ?? throw new InputException(
            source, $"cpus '{text}' is no CPU list, expected for instance \"all\" or \"0-3,5,^1\" with CPUs from 0 to {CpuSet.Capacity - 1} (there are no NUMA nodes)");

    /// <summary>The disks with what <c>disk_limit</c> says of them: a key of Blanket's own, which xl ignores.</summary>
    private IReadOnlyList<DiskSpecification> ReadLimitedDisks()
    {
        List<DiskSpecification> disks = [.. ReadDisks()];
        foreach (XlString text in _settings.FindStrings("disk_limit"))
        {
            (VirtualDevice device, DiskLimit limit) = DiskLimit.Parse(text);
            int index = disks.FindIndex(disk => disk.Device.Number == device.Number);
            if (index < 0 || disks[index].Limit != default)
            {
                throw new InputException(text.Source, $"disk_limit '{text.Text}': {device.Name} {(index < 0 ? "is no disk of the guest" : "has a limit already")}, expected each disk at most once");
            }

            disks[index] = disks[index] with { Limit = limit };
        }

        return disks;
    }

    private IReadOnlyList<DiskSpecification> ReadDisks()
    {
        List<DiskSpecification> disks = [];
        foreach (XlString text in _settings.FindStrings("disk"))
        {
            DiskSpecification disk = DiskSpecificationParser.Parse(text, _settings, target => ResolveTarget(text, target));
            if (disks.FirstOrDefault(other => other.Device.Number == disk.Device.Number) is DiskSpecification twin)
            {
                throw new InputException(text.Source, $"disk '{text.Text}': {disk.Device.Name} is the device of the disk on line {twin.Source.Line} already, expected another vdev");
            }

            disks.Add(disk);
        }

        return disks;
    }

    private string ResolveTarget(XlString disk, string target)
    {
        string besideFile = Path.GetFullPath(target, _directory);
        string device = Path.GetFullPath(target, "/dev");
        return File.Exists(besideFile) ? besideFile
            : File.Exists(device) ? device
            : throw new InputException(disk.Source, $"disk '{disk.Text}': no such file, expected an image file or block device at {besideFile}");
    }

    private IReadOnlyList<VifSpecification> ReadVifs(string guestName)
    {
        List<VifSpecification> vifs = [];
        foreach (XlString text in _settings.FindStrings("vif"))
        {
            VifSpecification vif = VifSpecificationParser.Parse(text, _settings, (uint)vifs.Count, guestName);
            if (vifs.Any(other => other.DeviceId == vif.DeviceId))
            {
                throw new InputException(text.Source, $"vif '{text.Text}': device {vif.DeviceId} exists already, expected another devid");
            }

            if (vifs.Any(other => other.Mac.Equals(vif.Mac)))
            {
                throw new InputException(text.Source, $"vif '{text.Text}': {vif.Mac} is the address of another vif already, expected another mac");
            }

            vifs.Add(vif);
        }

        return vifs;
    }
}
