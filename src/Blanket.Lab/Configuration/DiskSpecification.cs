using System;

namespace Blanket.Lab.Configuration;

/// <summary>Format of a disk image (xl-disk-configuration(5)).</summary>
public enum DiskFormat
{
    /// <summary>The bytes themselves: a file or a block device.</summary>
    Raw,

    /// <summary>QEMU copy-on-write, first version.</summary>
    Qcow,

    /// <summary>QEMU copy-on-write.</summary>
    Qcow2,

    /// <summary>Virtual PC's format.</summary>
    Vhd,

    /// <summary>QEMU enhanced disk.</summary>
    Qed,
}

/// <summary>One disk of a guest.</summary>
/// <param name="Source">Where it was configured.</param>
/// <param name="Target">Absolute path of the image or block device.</param>
/// <param name="Format">Its format.</param>
/// <param name="Device">The device that the guest sees.</param>
/// <param name="ReadOnly">The guest must not write.</param>
/// <param name="Discard">Discard is offered to the guest.</param>
public sealed record DiskSpecification(
    SourceLine Source, string Target, DiskFormat Format, VirtualDevice Device, bool ReadOnly, bool Discard)
{
    /// <summary>How much of it the guest may use.</summary>
    public DiskLimit Limit { get; init; }
}

/// <summary>Reads one disk in the syntax of xl-disk-configuration(5).</summary>
internal sealed class DiskSpecificationParser
{
    private const string FormatsExpected = "raw, qcow, qcow2, vhd or qed";
    private static readonly string[] LegacyPrefixes = ["file:", "phy:", "aio:", "tap:", "tap2:", "tapdisk:", "ioemu:"];
    private static readonly string[] LegacyFormatPrefixes = ["raw:", "qcow:", "qcow2:", "vhd:"];
    private static readonly string[] ScriptPrefixes = ["iscsi:", "nbd:", "enbd:", "drbd:"];

    private readonly XlString _text;
    private readonly XlSettings _settings;
    private bool _hasPrefix;
    private string? _target;
    private string? _format;
    private string? _device;
    private string? _access;
    private bool _isCdrom;
    private bool _discard = true;

    private DiskSpecificationParser(XlString text, XlSettings settings)
    {
        _text = text;
        _settings = settings;
    }

    /// <summary>Reads a disk; <paramref name="resolvePath"/> makes a target absolute.</summary>
    internal static DiskSpecification Parse(XlString text, XlSettings settings, Func<string, string> resolvePath)
    {
        DiskSpecificationParser parser = new(text, settings);
        parser.ReadParameters();
        return parser.Finish(resolvePath);
    }

    private InputException Error(string message) => new(_text.Source, $"disk '{_text.Text}': {message}");

    private void ReadParameters()
    {
        string rest = StripLegacyPrefixes(_text.Text.TrimStart());
        while (rest.Length > 0)
        {
            if (rest.StartsWith("target=", StringComparison.Ordinal))
            {
                // It takes the whole rest, commas included.
                _target = Once(string.IsNullOrEmpty(_target) ? null : _target, rest["target=".Length..], "target");
                return;
            }

            int comma = rest.IndexOf(',', StringComparison.Ordinal);
            string parameter = comma < 0 ? rest : rest[..comma];
            ReadParameter(parameter);
            rest = comma < 0 ? string.Empty : rest[(comma + 1)..].TrimStart();
        }
    }

    private string StripLegacyPrefixes(string text)
    {
        foreach (string prefix in ScriptPrefixes)
        {
            if (text.StartsWith(prefix, StringComparison.Ordinal))
            {
                throw Error($"'{prefix}' needs a block script, which Blanket does not have, expected an image file or a block device");
            }
        }

        foreach (string prefix in LegacyFormatPrefixes)
        {
            if (text.StartsWith(prefix, StringComparison.Ordinal))
            {
                _hasPrefix = true;
                _format = prefix[..^1];
                return text[prefix.Length..];
            }
        }

        foreach (string prefix in LegacyPrefixes)
        {
            if (text.StartsWith(prefix, StringComparison.Ordinal))
            {
                _hasPrefix = true;
                return StripLegacyPrefixes(text[prefix.Length..]);
            }
        }

        return text;
    }

    private void ReadParameter(string parameter)
    {
        int equals = parameter.IndexOf('=', StringComparison.Ordinal);
        if (equals >= 0)
        {
            ReadNamed(parameter[..equals], parameter[(equals + 1)..]);
        }
        else if (!ReadFlag(parameter))
        {
            ReadPositional(parameter);
        }
    }

    private bool ReadFlag(string flag)
    {
        switch (flag)
        {
            case "cdrom":
                _isCdrom = true;
                return true;
            case "discard":
                _discard = true;
                return true;
            case "no-discard":
                _discard = false;
                return true;
            case "direct-io-safe" or "trusted" or "no-colo":
                return true;
            case "untrusted":
                _settings.Warn(_text.Source, "disk flag 'untrusted' is not passed on to the guest");
                return true;
            case "colo":
                throw Error("COLO replication is not supported, expected no such flag");
            default:
                return false;
        }
    }

    private void ReadNamed(string name, string value)
    {
        switch (name)
        {
            case "format":
                _format = Once(_format, value, name);
                break;
            case "vdev":
                _device = Once(_device, value, name);
                break;
            case "access":
                _access = Once(_access, value, name);
                break;
            case "devtype":
                _isCdrom = value switch
                {
                    "cdrom" => true,
                    "disk" => false,
                    _ => throw Error($"devtype={value} is unknown, expected disk or cdrom"),
                };
                break;
            case "backendtype":
                _settings.Warn(_text.Source, $"disk parameter backendtype={value} has no effect: every disk is served by Blanket's own backend");
                break;
            case "backend" when value is "0" or "Domain-0" or "":
                break;
            case "backend":
                throw Error($"backend={value}: there are no driver domains, expected no backend");
            case "script":
                throw Error("block scripts are not supported, expected an image file or a block device as target");
            case "specification" when value is "xen" or "":
                break;
            default:
                throw Error($"unknown parameter {name}={value}, expected format, vdev, access, devtype, discard or target (xl-disk-configuration(5))");
        }
    }

    private string Once(string? earlier, string value, string name) =>
        earlier is null ? value : throw Error($"{name} is given twice, expected it once");

    private void ReadPositional(string value)
    {
        if (_target is null)
        {
            _target = value;
        }
        else if (_format is null && !_hasPrefix)
        {
            _format = value;
        }
        else if (_device is null)
        {
            _device = value;
        }
        else if (_access is null)
        {
            _access = value;
        }
        else
        {
            throw Error($"'{value}' is one value too many, expected TARGET,FORMAT,VDEV,ACCESS");
        }
    }

    private DiskSpecification Finish(Func<string, string> resolvePath)
    {
        string name = StripDeviceType(_device ?? string.Empty);
        VirtualDevice device = VirtualDevice.TryParse(name)
            ?? throw Error(name.Length == 0 ? "the virtual device is missing, expected for instance vdev=xvda" : $"'{name}' is no virtual device, expected for instance xvda");
        if (string.IsNullOrEmpty(_target))
        {
            throw Error("the target is missing, expected the path of an image file or a block device");
        }

        if (_isCdrom)
        {
            _settings.Warn(_text.Source, $"{name} is offered to the guest as a read-only disk: there are no CD-ROM drives");
        }

        return new DiskSpecification(_text.Source, resolvePath(_target), ParseFormat(), device, _isCdrom || IsReadOnly(), _discard);
    }

    /// <summary>Takes <c>:cdrom</c> or <c>:disk</c> off a device of the legacy form <c>hdc:cdrom</c>.</summary>
    private string StripDeviceType(string device)
    {
        if (device.EndsWith(":cdrom", StringComparison.Ordinal))
        {
            _isCdrom = true;
            return device[..^":cdrom".Length];
        }

        return device.EndsWith(":disk", StringComparison.Ordinal) ? device[..^":disk".Length] : device;
    }

    private DiskFormat ParseFormat() => _format switch
    {
        null or "" or "raw" => DiskFormat.Raw,
        "qcow" => DiskFormat.Qcow,
        "qcow2" => DiskFormat.Qcow2,
        "vhd" => DiskFormat.Vhd,
        "qed" => DiskFormat.Qed,
        _ => throw Error($"format '{_format}' is unknown, expected {FormatsExpected}"),
    };

    private bool IsReadOnly() => _access switch
    {
        null or "" or "rw" or "w" => false,
        "ro" or "r" => true,
        _ => throw Error($"access '{_access}' is unknown, expected ro, r, rw or w"),
    };
}
