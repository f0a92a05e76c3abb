using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed class DurabilityTests
{
    private const int Enough = 40;

    /// <summary>The machine loses power while a guest writes: what the guest was told to be on its disk is there.</summary>
    [Fact]
    public async Task AcknowledgedRecordsSurviveTheEndOfTheMachine()
    {
        BootDirectory directory = BootDirectory.For(nameof(AcknowledgedRecordsSurviveTheEndOfTheMachine));
        TestGuest guest = await TestGuest.CreateAsync();
        string disk = directory.CreateDisk("disk.raw", 4);
        string configuration = guest.WriteWithInit(directory, "writing", "records.sh", TestGuest.Disks(disk));
        IReadOnlyList<string> lines = await RunUntilKilledAsync(directory, configuration);
        RecordDisk.RequireAcknowledged(directory, disk, lines, Enough);
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
                if (line.StartsWith(RecordDisk.Acknowledged, StringComparison.Ordinal) && ++count == Enough)
                {
                    machine.Kill();
                }
            },
        };
        await machine.RunAsync(configuration);
        return machine.Lines("writing");
    }
}
