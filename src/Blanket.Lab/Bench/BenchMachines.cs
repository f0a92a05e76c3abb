using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Lab.Bench;

/// <summary>Makes the three machines of a comparison, alike except for what boots and for the memory that it needs besides the guest's.</summary>
/// <param name="guest">The measured guest.</param>
/// <param name="peerPort">TCP port of the host's <see cref="BenchPeer"/>.</param>
/// <param name="directory">Where disks and bundles are made; the caller deletes it.</param>
public abstract class BenchMachines(BenchGuest guest, int peerPort, string directory)
{
    /// <summary>What Blanket is compared with.</summary>
    public abstract BenchRival Rival { get; }

    /// <summary>Whether disk and network are measured.</summary>
    public virtual bool WithDevices => true;

    /// <summary>The guest's kernel in L1's place.</summary>
    /// <param name="report">Takes a line for each step that takes a while.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">Something that the bed is made of cannot be had.</exception>
    public abstract Task<BenchBed> NativeAsync(Action<string> report, CancellationToken cancellation);

    /// <summary>What Blanket is compared with.</summary>
    /// <param name="report">Takes a line for each step that takes a while.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">Something that the bed is made of cannot be had.</exception>
    public abstract Task<BenchBed> RivalAsync(Action<string> report, CancellationToken cancellation);

    /// <summary>The guest on Blanket.</summary>
    /// <param name="image">Path of blanket.elf.</param>
    /// <param name="cancellation">Stops the work.</param>
    public virtual async Task<BenchBed> BlanketAsync(string image, CancellationToken cancellation)
    {
        MachineOptions machine = Machine("blanket");
        string disk = machine.Disks.Single().Specification.Target;
        MachinePlan plan = MachinePlan.For([ReadConfiguration(disk)]);
        byte[] bundle = await BundleBuilder.BuildAsync(plan, string.Empty, cancellation).ConfigureAwait(false);
        string file = Path.Combine(Directory, "bundle");
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

    /// <summary>Where disks and bundles are made.</summary>
    protected string Directory { get; } = directory;

    /// <summary>The guest's kernel in a machine, without a layer.</summary>
    protected MachineOptions Boot(BenchGuest booted, string name, string console) => Machine(name) with
    {
        Kernel = booted.Kernel,
        Module = booted.Ramdisk,
        CommandLine = CommandLine(console),
        MemoryMiB = BenchGuest.MemoryMiB,
    };

    /// <summary>The guest's kernel in a machine, without a layer.</summary>
    protected MachineOptions Boot(string name, string console) => Boot(guest, name, console);

    /// <summary>The kernel's command line.</summary>
    protected virtual string CommandLine(string console) => BenchGuest.CommandLine(console, WithDevices ? peerPort : null, null);

    /// <summary>A machine with the guest's disk and NIC; what boots is not in it yet.</summary>
    protected virtual MachineOptions Machine(string name)
    {
        string disk = Path.Combine(Directory, name + ".raw");
        BenchGuest.WriteDisk(disk);
        return new MachineOptions
        {
            Kernel = string.Empty,
            Accelerator = Accelerator,
            MemoryMiB = 0,
            Disks = [.. MachinePlan.For([ReadConfiguration(disk)]).Disks],
            Nics = 1,
        };
    }

    /// <summary>How QEMU runs the machines' CPUs.</summary>
    protected abstract Accelerator Accelerator { get; }

    private GuestConfiguration ReadConfiguration(string disk)
    {
        string path = Path.Combine(Directory, "bench.cfg");
        string entry = $"format=raw, vdev=xvda, access=rw, target={disk}";
        File.WriteAllText(path, BenchGuest.Configuration(guest.Kernel, guest.Ramdisk, entry, CommandLine("hvc0")));
        return GuestConfigurationReader.ReadFile(path).Guest;
    }
}
