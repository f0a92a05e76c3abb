using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Qemu;
using Blanket.Lab.StockXen;

namespace Blanket.Lab.Bench;

/// <summary>Makes the three machines, alike except for what boots and for the memory that it needs besides the guest's.</summary>
/// <param name="guest">The measured guest.</param>
/// <param name="accelerator">What the host offers.</param>
/// <param name="countInstructions">
/// QEMU's instruction counter is the clock: one instruction is one nanosecond, whatever the host does meanwhile, and idle time
/// is skipped (<c>-icount shift=0,sleep=off</c>). For software emulation only.
/// </param>
/// <param name="peerPort">TCP port of the host's <see cref="BenchPeer"/>.</param>
/// <param name="directory">Where disks and bundles are made; the caller deletes it.</param>
public sealed class BenchMachines(BenchGuest guest, Accelerator accelerator, bool countInstructions, int peerPort, string directory)
{
    /// <summary>
    /// The CPU of software emulation on every bed. SMAP ends stock Xen's dom0 there and RDTSCP is emulated wrongly for Xen's
    /// guests; no bed has them, so that all beds run on one CPU.
    /// </summary>
    private const string EmulatedCpu = "max,-la57,-smap,-rdtscp";

    /// <summary>Whether disk and network are measured: waiting for a device takes no instructions. What they execute can be profiled.</summary>
    public bool WithDevices => !countInstructions || (Profile is (string row, _) && BenchRow.All.Any(known => known.Name == row && known.IsDevice));

    private int? PeerPort => WithDevices ? peerPort : null;

    /// <summary>The row whose instructions are profiled, by <see cref="BenchRow.Name"/>, and the plugin that does; null for none.</summary>
    public (string Row, string Plugin)? Profile { get; init; }

    /// <summary>Where the plugin leaves the profile of a bed.</summary>
    /// <param name="name">"native", "xen" or "blanket".</param>
    public string ProfileFile(string name) => Path.Combine(directory, name + ".profile");

    /// <summary>The guest's kernel in L1's place.</summary>
    public BenchBed Native() => new("native", Machine("native") with
    {
        Kernel = guest.Kernel,
        Module = guest.Ramdisk,
        CommandLine = CommandLine("ttyS0"),
        MemoryMiB = BenchGuest.MemoryMiB,
    }, Console: null)
    { LayerMemoryKiB = 0 };

    /// <summary>The guest on Blanket.</summary>
    /// <param name="image">Path of blanket.elf.</param>
    /// <param name="cancellation">Stops the work.</param>
    public async Task<BenchBed> BlanketAsync(string image, CancellationToken cancellation)
    {
        MachineOptions machine = Machine("blanket");
        string disk = machine.Disks.Single().Specification.Target;
        MachinePlan plan = MachinePlan.For([ReadConfiguration($"format=raw, vdev=xvda, access=rw, target={disk}")]);
        byte[] bundle = await BundleBuilder.BuildAsync(plan, string.Empty, cancellation).ConfigureAwait(false);
        string file = Path.Combine(directory, "bundle");
        await File.WriteAllBytesAsync(file, bundle, cancellation).ConfigureAwait(false);
        return new BenchBed("Blanket", machine with
        {
            Kernel = image,
            Module = file,
            MemoryMiB = BundleBuilder.RequiredMemoryMiB(plan, bundle.Length),
            ConsolePorts =
            [
                (MachinePlan.BlanketConsolePort, MachinePlan.BlanketConsolePortName),
                .. plan.Guests.Select(planned => (planned.ConsolePort, planned.ConsolePortName)),
            ],
        }, plan.Guests[0].ConsolePort);
    }

    /// <summary>The guest on Debian's stock Xen with a Debian dom0.</summary>
    /// <param name="report">Takes a line for each step that takes a while.</param>
    /// <param name="cancellation">Stops the work.</param>
    public async Task<BenchBed> StockXenAsync(Action<string> report, CancellationToken cancellation)
    {
        MachineOptions machine = Machine("xen") with
        {
            Kernel = guest.Kernel,
            Module = guest.Ramdisk,
            CommandLine = CommandLine("hvc0"),
            MemoryMiB = BenchGuest.MemoryMiB,
        };
        XenDomain domain = new() { Machine = machine, Type = XenDomainType.Pv, IsMeasured = true };
        await XenBed.PrepareAsync(domain, report, cancellation).ConfigureAwait(false);
        return new BenchBed("stock Xen", machine, Console: null) { Xen = domain, LayerMemoryKiB = (long)XenBed.LayerMemoryMiB << 10 };
    }

    private string CommandLine(string console) => BenchGuest.CommandLine(console, PeerPort, Profile?.Row);

    private Configuration.GuestConfiguration ReadConfiguration(string disk)
    {
        string path = Path.Combine(directory, "bench.cfg");
        File.WriteAllText(path, BenchGuest.Configuration(guest.Kernel, guest.Ramdisk, disk, CommandLine("hvc0")));
        return Configuration.GuestConfigurationReader.ReadFile(path).Guest;
    }

    private MachineOptions Machine(string name)
    {
        string disk = Path.Combine(directory, name + ".raw");
        BenchGuest.WriteDisk(disk);
        Configuration.GuestConfiguration planned = ReadConfiguration($"format=raw, vdev=xvda, access=rw, target={disk}");
        return new MachineOptions
        {
            Kernel = string.Empty,
            Accelerator = countInstructions ? accelerator with { Argument = "tcg" } : accelerator,
            MemoryMiB = 0,
            Disks = [.. MachinePlan.For([planned]).Disks],
            Nics = 1,
            ExtraArguments =
            [
                .. accelerator.IsKvm ? Array.Empty<string>() : ["-cpu", EmulatedCpu],
                .. countInstructions ? ["-icount", "shift=0,sleep=off"] : Array.Empty<string>(),
                .. Profile is (_, string plugin) ? ["-plugin", $"{plugin},counts={ProfileFile(name)}"] : Array.Empty<string>(),
            ],
        };
    }
}
