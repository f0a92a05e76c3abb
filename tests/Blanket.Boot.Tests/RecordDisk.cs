using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;

namespace Blanket.Boot.Tests;

/// <summary>The disk that <c>records.sh</c> writes numbered records to, a sector each.</summary>
internal static class RecordDisk
{
    /// <summary>What the guest says of a record, before its number.</summary>
    internal const string Acknowledged = "acknowledged ";

    private const int SectorSize = 512;

    /// <summary>Fails unless the guest was told of enough records, and all of these are on its disk.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="disk">Path of the image.</param>
    /// <param name="lines">The guest's console.</param>
    /// <param name="enough">Records at least.</param>
    internal static void RequireAcknowledged(BootDirectory directory, string disk, IEnumerable<string> lines, int enough)
    {
        int[] numbers = [.. lines.Where(line => line.StartsWith(Acknowledged, StringComparison.Ordinal)).Select(ReadNumber)];
        Assert.True(numbers.Length >= enough, $"{numbers.Length} records were acknowledged, expected at least {enough} (logs: {directory.Root})");
        byte[] content = File.ReadAllBytes(disk);
        int[] lost = [.. numbers.Where(number => !HasRecord(content, number))];
        Assert.True(lost.Length == 0, $"acknowledged records that are not on the disk: {string.Join(", ", lost)}");
    }

    private static int ReadNumber(string line) => int.Parse(line.AsSpan(Acknowledged.Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture);

    private static bool HasRecord(ReadOnlySpan<byte> disk, int number) =>
        disk[(number * SectorSize)..].StartsWith(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"record {number:D8}\n")));
}
