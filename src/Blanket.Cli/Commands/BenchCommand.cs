using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Benchmarks;
using Blanket.Lab.Bench;
using Blanket.Lab.Bench.Profile;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;
using Spectre.Console;

namespace Blanket.Cli.Commands;

/// <summary><c>bench</c>: the same guest natively, with what else there is on an L0, and on Blanket, in one table.</summary>
internal static class BenchCommand
{
    /// <summary>Longest time of one bed; stock Xen under instruction counting takes a minute on an idle host.</summary>
    private static readonly TimeSpan BedTimeout = TimeSpan.FromMinutes(10);

    private const string Kvm = "kvm";
    private const string Xen = "xen";
    private const string Native = "native";
    private const string Blanket = "blanket";

    /// <summary>The switch has 64 ports (Blanket.Backends, NetworkSwitch.MaximumPorts); L0's interface and the watcher take two.</summary>
    private const int MaximumGuests = 62;

    private const int MaximumMemoryMiB = 4096;

    internal static Command Create(Report report)
    {
        Option<string> l0 = new("--l0") { Description = "What the provider runs: kvm, or xen (Debian's stock Xen 4.17; Blanket is compared with emulated devices there).", DefaultValueFactory = _ => Kvm };
        l0.AcceptOnlyFromAmong(Kvm, Xen);
        Option<bool> icount = new("--icount") { Description = "Count instructions instead of time, which makes the CPU rows repeatable. Software emulation; no rows of disk and network. With --guests likewise." };
        Option<string?> json = new("--json") { Description = "Write the values to a file, too.", HelpName = "FILE" };
        Option<string[]> beds = new("--bed") { Description = "Measure on this bed only: native, blanket, or xen (--l0 xen: emulated). May be repeated.", HelpName = "BED" };
        beds.AcceptOnlyFromAmong(Native, BenchRival.StockXen.Bed, BenchRival.EmulatedDevices.Bed, Blanket);
        Option<string?> profile = new("--profile") { Description = "With --icount: show which functions execute the instructions of one row.", HelpName = "ROW" };
        profile.AcceptOnlyFromAmong([.. ProfiledRows]);
        Option<int?> guests = new("--guests") { Description = "Instead: how long it takes to add up to N small guests to one machine, and how much memory.", HelpName = "N" };
        guests.Validators.Add(result => RunOptions.RequireRange(result, 1, MaximumGuests));
        Option<bool> stockKernel = new("--stock-kernel") { Description = "With --guests: Debian's cloud kernel, which starts in 88 MiB, instead of one compiled for 32 MiB." };
        Option<int?> guestMemory = new("--guest-memory") { Description = "With --guests: memory that each starts with.", HelpName = "MIB" };
        guestMemory.Validators.Add(result => RunOptions.RequireRange(result, 1, MaximumMemoryMiB));
        Option<int?> guestTarget = new("--guest-target") { Description = "With --guests: memory that each keeps.", HelpName = "MIB" };
        guestTarget.Validators.Add(result => RunOptions.RequireRange(result, 1, MaximumMemoryMiB));
        Command command = new("bench", "Measure the same guest natively, on Debian's stock Xen and on Blanket.") { l0, icount, json, beds, profile, guests, stockKernel, guestMemory, guestTarget };
        command.SetAction((arguments, cancellation) =>
        {
            if (arguments.GetValue(guests) is int count)
            {
                return DensityBench.RunAsync(
                    count,
                    arguments.GetValue(stockKernel),
                    arguments.GetValue(guestMemory),
                    arguments.GetValue(guestTarget),
                    arguments.GetValue(icount),
                    report,
                    cancellation);
            }

            bool onXen = arguments.GetRequiredValue(l0) == Xen;
            string rival = (onXen ? BenchRival.EmulatedDevices : BenchRival.StockXen).Bed;
            BenchChoice choice = new(onXen, arguments.GetValue(icount), arguments.GetValue(json), ReadBeds(arguments.GetValue(beds), rival), arguments.GetValue(profile));
            return RunAsync(choice, report, cancellation);
        });
        return command;
    }

    /// <summary>What the command line asks for.</summary>
    private sealed record BenchChoice(bool OnXen, bool CountInstructions, string? JsonFile, IReadOnlyList<string> Beds, string? ProfiledRow);

    private static IEnumerable<string> ProfiledRows => BenchRow.All.Where(row => row.Unit is null).Select(row => row.Name);

    private static IReadOnlyList<string> ReadBeds(string[]? chosen, string rival)
    {
        string[] known = [Native, rival, Blanket];
        return chosen is null or [] ? known
            : chosen.FirstOrDefault(bed => !known.Contains(bed)) is string wrong ? throw new InputException($"--bed {wrong} is not of this --l0, expected {string.Join(", ", known)}")
            : chosen;
    }

    private static async Task<int> RunAsync(BenchChoice choice, Report report, CancellationToken cancellation)
    {
        RequireMeaning(choice);
        await new DebianPackages(report.Step).InstallMissingAsync(BenchGuest.HostPrograms, cancellation).ConfigureAwait(false);
        BenchGuest guest = await BenchGuest.PrepareAsync(report.Step, cancellation).ConfigureAwait(false);
        string directory = Directory.CreateTempSubdirectory("blanket-bench-").FullName;
        try
        {
            using BenchPeer peer = new();
            BenchMachines machines = choice.OnXen
                ? new XenBenchMachines(guest, peer.Port, directory)
                : await PlanKvmAsync(guest, choice, peer.Port, directory, cancellation).ConfigureAwait(false);
            IReadOnlyList<BenchResult> results = await MeasureAsync(machines, choice, report, cancellation).ConfigureAwait(false);
            if (choice.ProfiledRow is null)
            {
                report.Draw(BenchTable.Draw(results, machines.Rival, choice.CountInstructions));
            }

            if (choice.JsonFile is not null)
            {
                await File.WriteAllTextAsync(choice.JsonFile, BenchJson.Write(results, machines.Rival, choice.CountInstructions), cancellation).ConfigureAwait(false);
            }

            return results.Any(result => IsComplete(result, choice)) ? ExitStatus.Success : ExitStatus.HostFailure;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static void RequireMeaning(BenchChoice choice)
    {
        if (choice.JsonFile is not null && Directory.Exists(choice.JsonFile))
        {
            throw new InputException($"--json {choice.JsonFile} is a directory, expected a file");
        }

        if (choice.CountInstructions && choice.OnXen)
        {
            throw new InputException("--icount goes with --l0 kvm: two CPUs have no common clock of instructions");
        }

        if (choice.ProfiledRow is not null && !choice.CountInstructions)
        {
            throw new InputException("--profile counts instructions: it needs --icount");
        }
    }

    private static async Task<BenchMachines> PlanKvmAsync(BenchGuest guest, BenchChoice choice, int peerPort, string directory, CancellationToken cancellation)
    {
        Accelerator accelerator = choice.CountInstructions
            ? new Accelerator(false, "instructions are counted")
            : await AcceleratorProbe.ProbeAsync(cancellation).ConfigureAwait(false);
        return new KvmBenchMachines(guest, accelerator, choice.CountInstructions, peerPort, directory)
        {
            Profile = choice.ProfiledRow is string row
                ? (row, await InstructionProfile.CompilePluginAsync(directory, cancellation).ConfigureAwait(false))
                : null,
        };
    }

    /// <summary>The rival's column may stay empty; the others are what the command is for.</summary>
    private static bool IsComplete(BenchResult result, BenchChoice choice) =>
        (result.Native is not null || !choice.Beds.Contains(Native))
        && (result.Blanket is not null || !choice.Beds.Contains(Blanket))
        && (result.Native is not null || result.Blanket is not null || result.Rival is not null);

    private static async Task<IReadOnlyList<BenchResult>> MeasureAsync(
        BenchMachines machines, BenchChoice choice, Report report, CancellationToken cancellation)
    {
        await ImageBuilder.EnsureAsync(report, cancellation).ConfigureAwait(false);
        BenchRival rivalry = machines.Rival;
        IReadOnlyDictionary<string, long> native = await RunAsync(Native, "natively", () => machines.NativeAsync(report.Step, cancellation)).ConfigureAwait(false);
        IReadOnlyDictionary<string, long> rival = await RunAsync(
            rivalry.Bed, rivalry.Where, () => machines.RivalAsync(report.Step, cancellation)).ConfigureAwait(false);
        IReadOnlyDictionary<string, long> blanket = await RunAsync(
            Blanket, "on Blanket", () => machines.BlanketAsync(Project.Image, cancellation)).ConfigureAwait(false);
        return
        [
            .. BenchRow.All.Where(row => machines.WithDevices || !row.IsDevice)
                .Select(row => new BenchResult(row, Value(native, row), Value(rival, row), Value(blanket, row))),
        ];

        // A bed that cannot run leaves its column empty; the others are still worth having.
        async Task<IReadOnlyDictionary<string, long>> RunAsync(string name, string where, Func<Task<BenchBed>> prepare)
        {
            if (!choice.Beds.Contains(name))
            {
                return new Dictionary<string, long>();
            }

            try
            {
                BenchBed bed = await prepare().ConfigureAwait(false);
                report.Step($"measuring {where}");
                BenchOutput output = await bed.RunAsync(BedTimeout, cancellation).ConfigureAwait(false);
                if (machines is KvmBenchMachines { Profile: not null } profiled)
                {
                    await ShowProfileAsync(profiled, name, where, output).ConfigureAwait(false);
                }

                return output.Values;
            }
            catch (HostException e)
            {
                report.Warning($"no values {where}: {e.Message}");
                return new Dictionary<string, long>();
            }
        }

        async Task ShowProfileAsync(KvmBenchMachines profiled, string name, string where, BenchOutput output)
        {
            InstructionProfile profile = InstructionProfile.Read(profiled.ProfileFile(name));
            if (name == Blanket)
            {
                await ImageFunctions.AddAsync(Project.Image, output.Symbols, cancellation).ConfigureAwait(false);
            }

            report.Step($"instructions for one operation of {profiled.Profile!.Value.Row} {where}, by function");
            report.Draw(Draw("instructions", profile.Counts));
            report.Draw(Draw("TLB flushes", profile.Flushes));

            Table Draw(string title, IReadOnlyDictionary<ulong, ulong> counts) =>
                ProfileTable.Draw(title, InstructionProfile.ByFunction(counts, output.Symbols), output.ProfiledOperations);
        }
    }

    private static long? Value(IReadOnlyDictionary<string, long> values, BenchRow row) =>
        values.TryGetValue(row.Name, out long value) ? value : null;
}
