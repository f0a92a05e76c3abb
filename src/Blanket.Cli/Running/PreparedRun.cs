using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.BootDisks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Instances;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;
using Blanket.Lab.StockXen;

namespace Blanket.Cli.Running;

/// <summary>Everything that a machine needs to start, in a directory that is deleted on disposal.</summary>
internal sealed class PreparedRun : IDisposable
{
    /// <summary>Memory that firmware and GRUB have besides what they load.</summary>
    private const long FirmwareMiB = 64;

    private readonly string _directory;
    private ConsoleServers? _consoles;
    private AddedConsoles? _added;

    private Func<IConsoleSink?, CancellationToken, Task<IL0Machine>> _start = null!;

    private PreparedRun(string directory) => _directory = directory;

    /// <summary>The guests.</summary>
    internal MachinePlan Plan { get; private set; } = null!;

    /// <summary>The machine.</summary>
    internal MachineOptions Options { get; private set; } = null!;

    /// <summary>Tells the events in the machine's log.</summary>
    internal Func<string, IReadOnlyList<RunEvent>> ParseLog { get; private set; } = null!;

    /// <summary>Checks the input, then builds what is missing. Wrong input fails before anything is made.</summary>
    /// <exception cref="InputException">Wrong input.</exception>
    internal static async Task<PreparedRun> CreateAsync(RunSettings settings, Report report, CancellationToken cancellation)
    {
        PreparedRun run = new(Directory.CreateTempSubdirectory("blanket-run-").FullName);
        try
        {
            IReadOnlyList<string> files = settings.Guests.Count > 0
                ? settings.Guests
                : [await run.WriteSmallGuestAsync(settings, report, cancellation).ConfigureAwait(false)];
            run.Plan = BundleBuilder.Plan(files, report.Warning);
            run.RequireNicForForwards(settings);
            MachineOptions machine = await run.PlanMachineAsync(settings, cancellation).ConfigureAwait(false);
            run.Options = settings.Native
                ? run.BootNatively(machine, settings)
                : await run.BootBlanketAsync(machine, settings, report, cancellation).ConfigureAwait(false);
            run._start = await run.PlanStartAsync(settings, report, cancellation).ConfigureAwait(false);
            string provider = settings.Xen is XenDomainType type ? $"Xen 4.17 ({type.ToString().ToUpperInvariant()}) in QEMU" : "QEMU";
            report.Line($"L0: {provider} {machine.MachineType}, {machine.Cpus} CPU, {run.Options.MemoryMiB} MiB, {machine.Accelerator.Name}: {machine.Accelerator.Reason}");
            return run;
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    /// <summary>Starts the machine.</summary>
    /// <param name="platform">Takes what L0 itself says where it says something, or null.</param>
    /// <param name="cancellation">Stops the start.</param>
    internal Task<IL0Machine> StartAsync(IConsoleSink? platform, CancellationToken cancellation) => _start(platform, cancellation);

    /// <summary>Lets the machine wait for gdb on a TCP port of the loopback address.</summary>
    internal void ListenForDebugger(int port) => Options = Options with { GdbPort = port };

    /// <inheritdoc/>
    public void Dispose()
    {
        _added?.Dispose();
        _consoles?.Dispose();
        Instance?.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    /// <summary>Where other commands find the run; null without Blanket, where there is nothing to find.</summary>
    internal Instance? Instance { get; private set; }

    /// <summary>A sink that also lets other commands see and use a guest's console.</summary>
    internal IConsoleSink Share(string guest, IConsoleSink sink, Stream keys) => _consoles?.Share(guest, sink, keys) ?? sink;

    /// <summary>Lets other commands add consoles where they share a line; QEMU adds others by itself.</summary>
    /// <param name="machine">The running machine.</param>
    /// <param name="createSink">Where the output of a guest of a name goes besides; the same for the same name.</param>
    internal void AcceptConsoles(IL0Machine machine, Func<string, IConsoleSink?> createSink)
    {
        if (Instance is not null && _consoles is not null && machine is XenMachine { ConsoleLine: IConsoleLine line })
        {
            _added = new AddedConsoles(Instance, _consoles, line, Options.ConsolePorts.Max(port => port.Number) + 1, createSink);
        }
    }

    private async Task<string> WriteSmallGuestAsync(RunSettings settings, Report report, CancellationToken cancellation)
    {
        SmallGuest guest = await SmallGuest.PrepareAsync(report.Step, cancellation).ConfigureAwait(false);
        return guest.WriteConfiguration(_directory, selfTest: settings.Headless);
    }

    private void RequireNicForForwards(RunSettings settings)
    {
        if (settings.Forwards.Count > 0 && Plan.Bridges.Count == 0)
        {
            throw new InputException("--forward needs a guest with a network interface, expected vif = [ ... ] in a guest configuration");
        }
    }

    /// <summary>Makes what the start needs besides the machine's description.</summary>
    private async Task<Func<IConsoleSink?, CancellationToken, Task<IL0Machine>>> PlanStartAsync(
        RunSettings settings, Report report, CancellationToken cancellation)
    {
        if (settings.Xen is not XenDomainType type)
        {
            return async (_, stop) => await VirtualMachine.StartAsync(Options, stop).ConfigureAwait(false);
        }

        XenDomain domain = new() { Machine = Options, Type = type };
        await XenBed.PrepareAsync(domain, report.Step, cancellation).ConfigureAwait(false);
        return async (platform, stop) => await XenBed.StartAsync(domain, platform, report.Step, stop).ConfigureAwait(false);
    }

    private async Task<MachineOptions> PlanMachineAsync(RunSettings settings, CancellationToken cancellation) => new()
    {
        Kernel = Project.Image,
        Accelerator = settings.Xen is null ? await AcceleratorProbe.ProbeAsync(cancellation).ConfigureAwait(false) : XenBed.Accelerator,
        MachineType = settings.MachineType,
        Firmware = settings.Firmware,
        MemoryMiB = 0,
        Cpus = settings.Cpus,
        Disks = [.. Plan.Disks],
        Nics = Plan.Bridges.Count,
        Forwards = settings.Forwards,
        ExtraArguments = settings.QemuArguments,
    };

    private async Task<MachineOptions> BootBlanketAsync(MachineOptions machine, RunSettings settings, Report report, CancellationToken cancellation)
    {
        string options = $"memory={settings.MemoryPolicy} {settings.Options}{(settings.Stay ? " stay" : string.Empty)}";
        byte[] bundle = await BundleBuilder.BuildAsync(Plan, options, cancellation).ConfigureAwait(false);
        bool boots = settings.Firmware != Firmware.None || settings.Xen == XenDomainType.Hvm;
        long required = BundleBuilder.RequiredMemoryMiB(Plan, bundle.Length) + (boots ? FirmwareMiB : 0);
        if (settings.MemoryMiB < required)
        {
            report.Warning($"--memory {settings.MemoryMiB} is less than the {required} MiB that the guests need");
        }

        await ImageBuilder.EnsureAsync(report, cancellation).ConfigureAwait(false);
        string file = Path.Combine(_directory, boots ? "boot.img" : "bundle");
        await (boots
            ? BootDisk.WriteAsync(Project.Image, bundle, file, cancellation)
            : File.WriteAllBytesAsync(file, bundle, cancellation)).ConfigureAwait(false);
        Instance = Instance.Create(settings.Name);
        _consoles = new ConsoleServers(Instance);
        DiskSlot[] spare = settings.Xen is null ? SpareDisks(settings) : [];
        Instance.WriteDiskSlots([.. Plan.Guests.SelectMany(guest => guest.Disks.Select(disk => new DiskSlot(disk.Serial, disk.Specification.ReadOnly, guest.Configuration.Name))), .. spare]);
        ParseLog = static line => RunEvent.TryParse(line) is RunEvent happening ? [happening] : [];
        return machine with
        {
            Module = boots ? null : file,
            BootDisk = boots ? file : null,
            Instance = Instance,
            SpareDisks = spare,
            MemoryMiB = settings.MemoryMiB ?? required,
            ConsolePorts =
            [
                (MachinePlan.BlanketConsolePort, MachinePlan.BlanketConsolePortName),
                .. Plan.Guests.Select(guest => (guest.ConsolePort, guest.ConsolePortName)),
            ],
        };
    }

    private static DiskSlot[] SpareDisks(RunSettings settings) =>
    [
        .. Enumerable.Range(0, settings.SpareDisks).Select(number => new DiskSlot(string.Create(CultureInfo.InvariantCulture, $"spare.disk{number}"), false, null)),
        .. Enumerable.Range(0, settings.SpareReadOnlyDisks).Select(number => new DiskSlot(string.Create(CultureInfo.InvariantCulture, $"spare.read-only{number}"), true, null)),
    ];

    private MachineOptions BootNatively(MachineOptions machine, RunSettings settings)
    {
        if (Plan.Guests.Count != 1)
        {
            throw new InputException($"--native with {Plan.Guests.Count} guests, expected one");
        }

        GuestConfiguration guest = Plan.Guests[0].Configuration;
        ParseLog = line => LinuxLog.Parse(guest.Name, line);
        return machine with
        {
            Kernel = guest.Kernel,
            Module = guest.Ramdisk,
            CommandLine = settings.Xen is null ? guest.CommandLine.Replace("console=hvc0", "console=ttyS0", StringComparison.Ordinal) : guest.CommandLine,
            MemoryMiB = settings.MemoryMiB ?? guest.MemoryMiB,
        };
    }
}
