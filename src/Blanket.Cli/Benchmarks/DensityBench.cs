using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bench;
using Blanket.Lab.Bench.Profile;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;
using Spectre.Console;

namespace Blanket.Cli.Benchmarks;

/// <summary><c>bench --guests</c>: time and memory against the number of guests.</summary>
internal static class DensityBench
{
    private const int Period = 5;
    private const double Million = 1e6;

    /// <summary>Measures and draws.</summary>
    /// <param name="count">Guests.</param>
    /// <param name="isStock">They run Debian's own kernel.</param>
    /// <param name="memory">Memory in MiB that each starts with; null for as little as its kernel needs.</param>
    /// <param name="target">Memory in MiB that each keeps; null likewise.</param>
    /// <param name="isCounting">Instructions are counted instead of time.</param>
    /// <param name="report">Takes progress and table.</param>
    /// <param name="cancellation">Ends the machine.</param>
    internal static async Task<int> RunAsync(
        int count, bool isStock, int? memory, int? target, bool isCounting, Report report, CancellationToken cancellation)
    {
        if (isCounting)
        {
            await new DebianPackages(report.Step).InstallMissingAsync(BenchGuest.HostPrograms, cancellation).ConfigureAwait(false);
        }

        await ImageBuilder.EnsureAsync(report, cancellation).ConfigureAwait(false);
        DensityGuest guest = await (isStock ? DensityGuest.PrepareStockAsync(report.Step, cancellation) : DensityGuest.PrepareAsync(report.Step, cancellation))
            .ConfigureAwait(false);
        int memoryMiB = memory ?? guest.StartMemoryMiB;
        int targetMiB = target ?? Math.Min(memoryMiB, guest.KeptMemoryMiB);
        Accelerator accelerator = isCounting
            ? new Accelerator(false, "instructions are counted")
            : await AcceleratorProbe.ProbeAsync(cancellation).ConfigureAwait(false);
        string directory = Directory.CreateTempSubdirectory("blanket-bench-").FullName;
        List<DensityStep> steps = [];
        try
        {
            string? plugin = isCounting ? await InstructionProfile.CompilePluginAsync(directory, cancellation).ConfigureAwait(false) : null;
            GuestDensity density = new(guest, Project.Image, memoryMiB, targetMiB, directory, plugin);
            long left = await density.RunAsync(count, accelerator, Note, cancellation).ConfigureAwait(false);
            report.Step(string.Create(CultureInfo.InvariantCulture, $"all {count} guests answered ping at the end; with them gone, {MiB(left)} MiB are in use"));
            return ExitStatus.Success;
        }
        finally
        {
            report.Draw(Draw(steps, isCounting));
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

    /// <summary>
    /// A row for the first guest, and one for each further group: times and instructions are means over the group, memory is what it is with the
    /// last of it.
    /// </summary>
    private static Table Draw(IReadOnlyList<DensityStep> steps, bool isCounting)
    {
        Table table = new() { Border = TableBorder.Markdown };
        string[] costs = isCounting ? ["send M", "build M", "build to ping M", "at most M"] : ["send s", "build ms", "build to ping s", "at most s"];
        table.AddColumns(["guests", .. costs, "layer MiB", "free MiB"]);
        List<DensityStep> group = [];
        foreach (DensityStep step in steps)
        {
            group.Add(step);
            if (step.Guests == 1 || step.Guests % Period == 0 || step == steps[^1])
            {
                string[] cells = isCounting ? Instructions(group) : Times(group);
                table.AddRow([step.Guests.ToString(CultureInfo.InvariantCulture), .. cells, MiB(step.LayerKiB), MiB(step.FreeKiB)]);
                group.Clear();
            }
        }

        return table;
    }

    private static string[] Times(IReadOnlyList<DensityStep> group) =>
    [
        Number(group.Average(step => step.Send.Time.TotalSeconds), "F1"),
        Number(group.Average(step => step.Build.Time.TotalMilliseconds), "F0"),
        Number(group.Average(step => step.Answer.Time.TotalSeconds), "F2"),
        Number(group.Max(step => step.Answer.Time.TotalSeconds), "F2"),
    ];

    private static string[] Instructions(IReadOnlyList<DensityStep> group) =>
    [
        Number(group.Average(step => step.Send.Instructions / Million), "F1"),
        Number(group.Average(step => step.Build.Instructions / Million), "F1"),
        Number(group.Average(step => step.Answer.Instructions / Million), "F1"),
        Number(group.Max(step => step.Answer.Instructions / Million), "F1"),
    ];

    private static string MiB(long kib) => Number(kib / 1024.0, "F1");

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
