using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Lab.StockXen;

/// <summary>
/// A provider who runs unmodified Xen: Debian's Xen 4.17 with a dom0 of Debian packages, in a QEMU machine whose processor has SVM with nested
/// paging by emulation. The files of the run are in a directory of the host that dom0 mounts.
/// </summary>
public static class XenBed
{
    /// <summary>The console of the domain, as a port of the machine that Xen runs in.</summary>
    internal const uint DomainPort = 1;

    /// <summary>Words for dom0.</summary>
    internal const uint ControlPort = 2;

    /// <summary>
    /// Little more than x86-64 with SVM, because QEMU emulates much of the rest wrongly once there is a hypervisor between: SMAP ends Xen's
    /// dom0; RDTSCP, XSAVE and what is encoded with VEX fail in Xen's guests. Without RDRAND xl waits for entropy. Linux's
    /// aesni_intel takes AES for PCLMULQDQ as well.
    /// </summary>
    private const string Processor = "qemu64,+npt,+rdrand,+fsgsbase,+erms,+smep,+pdpe1gb,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq";

    private const int Dom0MemoryMiB = 320;

    /// <summary>The device model of an HVM domain, and its larger root.</summary>
    private const int DeviceModelMemoryMiB = 128;

    /// <summary>Xen itself, its heap, and page tables of domains.</summary>
    private const int XenMemoryMiB = 192;

    /// <summary>Memory in MiB of the machine besides the domain's: Xen's and dom0's.</summary>
    public const int LayerMemoryMiB = Dom0MemoryMiB + XenMemoryMiB;

    /// <summary>A migration to the same host has the domain twice for a while.</summary>
    private const int DomainCopies = 2;

    private const int MinimumCpus = 2;

    /// <summary>Memory is not scrubbed at boot: it is new from the host.</summary>
    private static string XenOptions(int dom0MemoryMiB) => string.Create(
        CultureInfo.InvariantCulture,
        $"com1=115200,8n1 console=com1 dom0_mem={dom0MemoryMiB}M,max:{dom0MemoryMiB}M dom0_max_vcpus=1 bootscrub=0 guest_loglvl=all noreboot");

    private const string Dom0Options = "console=hvc0 quiet loglevel=0 mitigations=off";

    /// <summary>How the machine of the bed is run, whatever the host offers.</summary>
    public static Accelerator Accelerator { get; } = new(false, "it emulates the SVM that Xen needs") { CpuModel = Processor };

    /// <summary>Makes what is not in the cache yet.</summary>
    /// <param name="domain">The domain that will be started.</param>
    /// <param name="report">Takes a line for each step that takes a while, downloads among them.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">A package cannot be had.</exception>
    public static async Task PrepareAsync(XenDomain domain, Action<string> report, CancellationToken cancellation) =>
        await StockXenImage.PrepareAsync(domain.Type == XenDomainType.Hvm, report, cancellation).ConfigureAwait(false);

    /// <summary>Starts the machine of the bed and in it the domain; returns when its lines are connected.</summary>
    /// <param name="domain">The domain; its accelerator is the machine's.</param>
    /// <param name="log">Takes what Xen and dom0 say on the serial line, or null.</param>
    /// <param name="report">Takes a line for each step that takes a while.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">A package cannot be had, or QEMU does not start.</exception>
    public static async Task<XenMachine> StartAsync(XenDomain domain, IConsoleSink? log, Action<string> report, CancellationToken cancellation)
    {
        StockXenImage image = await StockXenImage.PrepareAsync(domain.Type == XenDomainType.Hvm, report, cancellation).ConfigureAwait(false);
        string job = Directory.CreateTempSubdirectory("blanket-xen-").FullName;
        try
        {
            await WriteJobAsync(domain, job, cancellation).ConfigureAwait(false);
            MachineOptions options = Describe(domain, image, job);
            if (!domain.IsMeasured)
            {
                options = await SavedMachine.ContinueAsync(options, report, cancellation).ConfigureAwait(false);
                options = options with { ExtraArguments = [.. options.ExtraArguments, "-qmp", $"unix:{QmpSocket(job)},server=on,wait=off"] };
            }

            VirtualMachine machine = await VirtualMachine.StartAsync(options, cancellation).ConfigureAwait(false);
            await SendAsync(machine, string.Create(CultureInfo.InvariantCulture, $"go {DateTimeOffset.UtcNow.ToUnixTimeSeconds()}")).ConfigureAwait(false);
            return new XenMachine(machine, domain, job, log);
        }
        catch
        {
            Directory.Delete(job, recursive: true);
            throw;
        }
    }

    /// <summary>The machine that Xen runs in.</summary>
    internal static MachineOptions Describe(XenDomain domain, StockXenImage image, string job)
    {
        MachineOptions machine = domain.Machine;
        int dom0 = Dom0MemoryMiB + (domain.Type == XenDomainType.Hvm ? DeviceModelMemoryMiB : 0);
        int copies = domain.IsMeasured ? 1 : DomainCopies;
        return machine with
        {
            Kernel = image.Hypervisor,
            Module = null,
            BootDisk = null,
            Instance = null,
            CommandLine = XenOptions(dom0),
            MemoryMiB = dom0 + XenMemoryMiB + (machine.MemoryMiB * copies),
            Cpus = domain.IsMeasured ? machine.Cpus : Math.Max(machine.Cpus, MinimumCpus),
            Disks = domain.BootDisk is string boot ? [.. machine.Disks, BootDisk(boot)] : machine.Disks,
            ConsolePorts = [(DomainPort, "domain"), (ControlPort, "control")],
            SharedDirectory = job,
            ExtraArguments = [.. machine.ExtraArguments, "-initrd", $"{Escape(image.Kernel)} {Dom0Options},{Escape(image.Ramdisk)}"],
        };
    }

    /// <summary>Where QEMU's machine protocol is spoken during a run that is not measured.</summary>
    internal static string QmpSocket(string job) => Path.Combine(job, "qmp");

    /// <summary>Sends a line to dom0.</summary>
    internal static async Task SendAsync(VirtualMachine machine, string line) =>
        await machine.Console(ControlPort).WriteAsync(Encoding.ASCII.GetBytes(line + "\n")).ConfigureAwait(false);

    /// <summary>A comma separates modules.</summary>
    private static string Escape(string path) => path.Replace(",", ",,", StringComparison.Ordinal);

    private static PlannedDisk BootDisk(string path) => new(
        "boot", new DiskSpecification(new SourceLine("boot disk", 0), path, DiskFormat.Raw, VirtualDevice.TryParse("hda")!, ReadOnly: false, Discard: false));

    private static async Task WriteJobAsync(XenDomain domain, string job, CancellationToken cancellation)
    {
        await File.WriteAllTextAsync(Path.Combine(job, "domain.cfg"), XenDomainConfiguration.Write(domain), cancellation).ConfigureAwait(false);
        string script = domain.IsMeasured ? "measured.sh" : "domain.sh";
        await File.WriteAllBytesAsync(Path.Combine(job, "run.sh"), StockXenImage.Resource(script), cancellation).ConfigureAwait(false);
        if (domain.Preparation is XenPreparation preparation)
        {
            await File.WriteAllTextAsync(Path.Combine(job, "prepare.sh"), preparation.Script, cancellation).ConfigureAwait(false);
            CopyDirectory(preparation.Files, Path.Combine(job, "files"));
        }

        if (domain.BootDisk is null)
        {
            Copy(domain.Machine.Kernel, Path.Combine(job, XenDomainConfiguration.KernelFile));
            Copy(domain.Machine.Module, Path.Combine(job, XenDomainConfiguration.ModuleFile));
        }
    }

    private static void CopyDirectory(string source, string target)
    {
        Directory.CreateDirectory(target);
        foreach (string file in Directory.EnumerateFiles(source))
        {
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        }

        foreach (string directory in Directory.EnumerateDirectories(source))
        {
            CopyDirectory(directory, Path.Combine(target, Path.GetFileName(directory)));
        }
    }

    private static void Copy(string? source, string target)
    {
        if (source is not null)
        {
            File.Copy(source, target);
        }
    }
}
