using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bench;
using Blanket.Lab.Qemu;
using Spectre.Console;

namespace Blanket.Cli.Benchmarks;

/// <summary><c>bench --guests</c>: time and memory against the number of guests.</summary>
internal static class DensityBench
{
    private const int Period = 5;

    /// <summary>Measures and draws.</summary>
    internal static async Task<int> RunAsync(int count, int memoryMiB, int targetMiB, Report report, CancellationToken cancellation)
    {
        await ImageBuilder.EnsureAsync(report, cancellation).ConfigureAwait(false);
        DensityGuest guest = await DensityGuest.PrepareAsync(report.Step, cancellation).ConfigureAwait(false);
        Accelerator accelerator = await AcceleratorProbe.ProbeAsync(cancellation).ConfigureAwait(false);
        string directory = Directory.CreateTempSubdirectory("blanket-bench-").FullName;
        List<DensityStep> steps = [];
        try
        {
            GuestDensity density = new(guest, Project.Image, memoryMiB, targetMiB, directory);
            await density.RunAsync(count, accelerator, Note, cancellation).ConfigureAwait(false);
            report.Step($"all {count} guests answer ping");
            return ExitStatus.Success;
        }
        finally
        {
            report.Draw(Draw(steps));
            Directory.Delete(directory, recursive: true);
        }

        void Note(DensityStep step)
        {
            steps.Add(step);
            if (step.Guests % Period == 0)
            {
                report.Step($"{step.Guests} guests");
            }
        }
    }

    private static Table Draw(IReadOnlyList<DensityStep> steps)
    {
        Table table = new() { Border = TableBorder.Markdown };
        table.AddColumns("guests", "build ms", "build to ping s", "layer MiB", "free MiB");
        foreach (DensityStep step in steps)
        {
            if (step.Guests is 1 or 2 || step.Guests % Period == 0 || step == steps[^1])
            {
                table.AddRow(
                    step.Guests.ToString(CultureInfo.InvariantCulture),
                    step.Build.TotalMilliseconds.ToString("F0", CultureInfo.InvariantCulture),
                    step.Answer.TotalSeconds.ToString("F1", CultureInfo.InvariantCulture),
                    (step.LayerKiB / 1024.0).ToString("F1", CultureInfo.InvariantCulture),
                    (step.FreeKiB >> 10).ToString(CultureInfo.InvariantCulture));
            }
        }

        return table;
    }
}
