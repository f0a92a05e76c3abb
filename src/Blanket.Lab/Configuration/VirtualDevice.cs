using System.Globalization;
using System.Text.RegularExpressions;

namespace Blanket.Lab.Configuration;

/// <summary>A virtual block device: its name in a configuration and its number in xenstore.</summary>
/// <param name="Name">As written, such as <c>xvda</c>.</param>
/// <param name="Number">By xen-vbd-interface(7).</param>
public sealed partial record VirtualDevice(string Name, uint Number)
{
    private const uint ExtendedBase = 1u << 28;
    private const uint XvdMajor = 202;
    private const uint ScsiMajor = 8;
    private const uint FirstIdeMajor = 3;
    private const uint SecondIdeMajor = 22;
    private const uint MaximumExtendedDisk = (1u << 20) - 1;
    private const uint MaximumExtendedPartition = 255;

    /// <summary>Reads <c>xvda</c>, <c>xvdtq37</c>, <c>sdb3</c>, <c>hdc</c>, <c>d1p2</c> or a plain number.</summary>
    /// <returns>Null when the text is no virtual device.</returns>
    public static VirtualDevice? TryParse(string text)
    {
        if (XlSettings.TryParseNumber(text, out long number))
        {
            return number is > 0 and < ExtendedBase * 2L ? new VirtualDevice(text, (uint)number) : null;
        }

        Match match = Lettered().Match(text);
        if (match.Success)
        {
            return Encode(text, match.Groups["kind"].Value, DiskOfLetters(match.Groups["disk"].Value), Partition(match));
        }

        match = Numbered().Match(text);
        return match.Success && uint.TryParse(match.Groups["disk"].Value, CultureInfo.InvariantCulture, out uint disk)
            ? Encode(text, "xvd", disk, Partition(match))
            : null;
    }

    private static VirtualDevice? Encode(string name, string kind, uint disk, uint partition)
    {
        uint? number = kind switch
        {
            "xvd" when disk < 16 && partition < 16 => (XvdMajor << 8) | (disk << 4) | partition,
            "xvd" when disk <= MaximumExtendedDisk && partition <= MaximumExtendedPartition => ExtendedBase | (disk << 8) | partition,
            "sd" when disk < 16 && partition < 16 => (ScsiMajor << 8) | (disk << 4) | partition,
            "hd" when disk < 2 && partition < 64 => (FirstIdeMajor << 8) | (disk << 6) | partition,
            "hd" when disk < 4 && partition < 64 => (SecondIdeMajor << 8) | ((disk - 2) << 6) | partition,
            _ => null,
        };
        return number is null ? null : new VirtualDevice(name, number.Value);
    }

    /// <summary>a is 0, z is 25, aa is 26, as Linux counts.</summary>
    private static uint DiskOfLetters(string letters)
    {
        uint count = 0;
        foreach (char letter in letters)
        {
            count = (count * 26) + (uint)(letter - 'a') + 1;
        }

        return count - 1;
    }

    private static uint Partition(Match match) =>
        match.Groups["partition"] is { Success: true, Length: > 0 } group ? uint.Parse(group.Value, CultureInfo.InvariantCulture) : 0;

    [GeneratedRegex("^(?<kind>xvd|sd|hd)(?<disk>[a-z]{1,5})(?<partition>[1-9][0-9]{0,2})?$", RegexOptions.CultureInvariant)]
    private static partial Regex Lettered();

    [GeneratedRegex("^d(?<disk>[0-9]{1,7})p(?<partition>[0-9]{1,3})$", RegexOptions.CultureInvariant)]
    private static partial Regex Numbered();
}
