using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Benchmarks;
using Blanket.Lab.Bench;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Cli.Commands;

/// <summary><c>bench</c>: the same guest natively, on Debian's stock Xen and on Blanket, in one table.</summary>
internal static class BenchCommand
{
    /// <summary>Longest time of one bed; stock Xen under instruction counting takes a minute on an idle host.</summary>
    private static readonly TimeSpan BedTimeout = TimeSpan.FromMinutes(10);

    internal static Command Create(Report report)
    {
        Option<bool> icount = new("--icount") { Description = "Count instructions instead of time, which makes the CPU rows repeatable. Software emulation; no rows of disk and network." };
        Option<string?> json = new("--json") { Description = "Write the values to a file, too.", HelpName = "FILE" };
        Command command = new("bench", "Measure the same guest natively, on Debian's stock Xen and on Blanket.") { icount, json };
        command.SetAction((arguments, cancellation) => RunAsync(arguments.GetValue(icount), arguments.GetValue(json), report, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(bool countInstructions, string? jsonFile, Report report, CancellationToken cancellation)
    {
        if (jsonFile is not null && Directory.Exists(jsonFile))
        {
            throw new InputException($"--json {jsonFile} is a directory, expected a file");
        }

        await CompilerPackages.EnsureAsync(report, cancellation).ConfigureAwait(false);
        BenchGuest guest = await BenchGuest.PrepareAsync(report.Step, cancellation).ConfigureAwait(false);
        string directory = Directory.CreateTempSubdirectory("blanket-bench-").FullName;
        try
        {
            Accelerator accelerator = countInstructions
                ? new Accelerator(false, "instructions are counted")
                : await AcceleratorProbe.ProbeAsync(cancellation).ConfigureAwait(false);
            using BenchPeer peer = new();
            BenchMachines machines = new(guest, accelerator, countInstructions, peer.Port, directory);
            IReadOnlyList<BenchResult> results = await MeasureAsync(machines, report, cancellation).ConfigureAwait(false);
            report.Draw(BenchTable.Draw(results, countInstructions));
            if (jsonFile is not null)
            {
                await File.WriteAllTextAsync(jsonFile, BenchJson.Write(results, countInstructions), cancellation).ConfigureAwait(false);
            }

            return results.Any(result => result.Native is not null && result.Blanket is not null) ? ExitStatus.Success : ExitStatus.HostFailure;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task<IReadOnlyList<BenchResult>> MeasureAsync(BenchMachines machines, Report report, CancellationToken cancellation)
    {
        await ImageBuilder.EnsureAsync(report, cancellation).ConfigureAwait(false);
        IReadOnlyDictionary<string, long> native = await RunAsync("natively", () => Task.FromResult(machines.Native())).ConfigureAwait(false);
        IReadOnlyDictionary<string, long> xen = await RunAsync(
            "on stock Xen", () => machines.StockXenAsync(report.Step, cancellation)).ConfigureAwait(false);
        IReadOnlyDictionary<string, long> blanket = await RunAsync(
            "on Blanket", () => machines.BlanketAsync(Project.Image, cancellation)).ConfigureAwait(false);
        return
        [
            .. BenchRow.All.Where(row => machines.WithDevices || !row.IsDevice)
                .Select(row => new BenchResult(row, Value(native, row), Value(xen, row), Value(blanket, row))),
        ];

        // A bed that cannot run leaves its column empty; the others are still worth having.
        async Task<IReadOnlyDictionary<string, long>> RunAsync(string where, Func<Task<BenchBed>> prepare)
        {
            try
            {
                BenchBed bed = await prepare().ConfigureAwait(false);
                report.Step($"measuring {where}");
                return await bed.RunAsync(BedTimeout, cancellation).ConfigureAwait(false);
            }
            catch (HostException e)
            {
                report.Warning($"no values {where}: {e.Message}");
                return new Dictionary<string, long>();
            }
        }
    }

    private static long? Value(IReadOnlyDictionary<string, long> values, BenchRow row) =>
        values.TryGetValue(row.Name, out long value) ? value : null;
}
