using System;
using System.Globalization;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed class StressTests
{
    /// <summary>Environment variable with a number of seconds for which the stressors work.</summary>
    private const string SecondsVariable = "BLANKET_STRESS_SECONDS";

    private const int DefaultSeconds = 8;

    /// <summary>
    /// A guest with four vCPUs on two CPUs: stress-ng verifies computing, memory, forks, mappings, pipes, futexes and switches, and builds by many
    /// processes at once give the same files as one after the other. Nothing is left behind.
    /// </summary>
    [Fact]
    public async Task GuestWithSeveralVcpusWorksWithoutAnError()
    {
        int seconds = int.TryParse(Environment.GetEnvironmentVariable(SecondsVariable), CultureInfo.InvariantCulture, out int wanted) ? wanted : DefaultSeconds;
        BootDirectory directory = BootDirectory.For(nameof(GuestWithSeveralVcpusWorksWithoutAnError));
        GuestPrograms programs = await GuestPrograms.PrepareAsync("stress-ng", "tcc", "make");
        TestGuest guest = await TestGuest.CreateAsync();
        guest.MemoryMiB = 512;
        string configuration = guest.WriteWithInit(
            directory, "stress", "stress.sh", string.Create(CultureInfo.InvariantCulture, $"seconds={seconds}"), programs.ToArchive(), "vcpus = 4");
        BlanketCommand run = await BlanketCommand.RunAsync(
            directory, [configuration, "--cpus", "2"], BlanketCommand.DefaultTimeoutSeconds + (8 * seconds));
        run.RequireStatus(0);
        run.RequireInLog("stress", "stress: 4 vCPUs");
        run.RequireInLog("stress", "stress: verified");
        run.RequireInLog("stress", "parallel builds of 97 files equal the serial one");
        Audit.RequireNothingLeft(directory);
    }
}
