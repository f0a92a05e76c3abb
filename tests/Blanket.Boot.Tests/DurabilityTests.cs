using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed class DurabilityTests
{
    private const int SectorSize = 512;
    private const int Enough = 40;
    private const string Acknowledged = "acknowledged ";

    /// <summary>The machine loses power while a guest writes: what the guest was told to be on its disk is there.</summary>
    [Fact]
    public async Task AcknowledgedRecordsSurviveTheEndOfTheMachine()
    {
        BootDirectory directory = BootDirectory.For(nameof(AcknowledgedRecordsSurviveTheEndOfTheMachine));
        TestGuest guest = await TestGuest.CreateAsync();
        string disk = directory.CreateDisk("disk.raw", 4);
        string configuration = guest.WriteWithInit(directory, "writing", "records.sh", TestGuest.Disks(disk));
        IReadOnlyList<string> lines = await RunUntilKilledAsync(directory, configuration);
        int[] numbers = [.. lines.Where(line => line.StartsWith(Acknowledged, StringComparison.Ordinal)).Select(ReadNumber)];
        Assert.True(numbers.Length >= Enough, $"{numbers.Length} records were acknowledged, expected at least {Enough} (logs: {directory.Root})");
        byte[] content = await File.ReadAllBytesAsync(disk);
        int[] lost = [.. numbers.Where(number => !HasRecord(content, number))];
        Assert.True(lost.Length == 0, $"acknowledged records that are not on the disk: {string.Join(", ", lost)}");
    }

    /// <summary>Runs a guest and kills QEMU (SIGKILL) when enough records were acknowledged.</summary>
    /// <returns>The lines of the guest's console.</returns>
    private static async Task<IReadOnlyList<string>> RunUntilKilledAsync(BootDirectory directory, string configuration)
    {
        int count = 0;
        GuestMachine machine = null!;
        machine = new(directory)
        {
            OnLine = (_, line) =>
            {
                if (line.StartsWith(Acknowledged, StringComparison.Ordinal) && ++count == Enough)
                {
                    machine.Kill();
                }
            },
        };
        await machine.RunAsync(configuration);
        return machine.Lines("writing");
    }

    private static int ReadNumber(string line) => int.Parse(line.AsSpan(Acknowledged.Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture);

    private static bool HasRecord(ReadOnlySpan<byte> disk, int number) =>
        disk[(number * SectorSize)..].StartsWith(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"record {number:D8}\n")));
}
