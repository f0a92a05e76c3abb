using System;
using System.Globalization;

namespace Blanket.Lab.Configuration;

/// <summary>How much a guest may use of a disk; 0 for no limit.</summary>
/// <param name="BytesPerSecond">Read and written together.</param>
/// <param name="RequestsPerSecond">Of any kind.</param>
public readonly record struct DiskLimit(ulong BytesPerSecond, uint RequestsPerSecond)
{
    private const string Expected = "for instance 'vdev=xvda, rate=20MB/s, iops=500'";

    /// <summary>Reads an entry of <c>disk_limit</c>: a disk of the guest, and a rate, a number of requests a second, or both.</summary>
    /// <exception cref="InputException">It is wrong.</exception>
    internal static (VirtualDevice Device, DiskLimit Limit) Parse(XlString text)
    {
        VirtualDevice? device = null;
        ulong bytes = 0;
        uint requests = 0;
        foreach (string parameter in text.Text.Split(',', StringSplitOptions.TrimEntries))
        {
            int equals = parameter.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? parameter : parameter[..equals];
            string value = equals < 0 ? string.Empty : parameter[(equals + 1)..];
            switch (name)
            {
                case "vdev" when device is null:
                    device = VirtualDevice.TryParse(value) ?? throw Error(text, $"'{value}' is no virtual device, expected {Expected}");
                    break;
                case "rate" when bytes == 0:
                    bytes = VifRate.TryParseBytesPerSecond(value) ?? throw Error(text, $"rate={value} is no rate, expected {Expected}");
                    break;
                case "iops" when requests == 0:
                    requests = uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number != 0
                        ? number
                        : throw Error(text, $"iops={value}, expected a number from 1 to {uint.MaxValue}");
                    break;
                default:
                    throw Error(text, $"'{parameter}' is unknown or given twice, expected {Expected}");
            }
        }

        return device is null || (bytes | requests) == 0
            ? throw Error(text, $"a disk and a rate or iops are needed, expected {Expected}")
            : (device, new DiskLimit(bytes, requests));
    }

    private static InputException Error(XlString text, string message) => new(text.Source, $"disk_limit '{text.Text}': {message}");
}
