using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.BootDisks;
using Blanket.Lab.Qemu;
using Blanket.Lab.StockXen;

namespace Blanket.Lab.Bench;

/// <summary>
/// The machines of a provider who runs stock Xen: domains of one CPU with PV devices of a dom0 that has another CPU. On software emulation,
/// whatever the host offers, with the TSC of a cloud's processors.
/// </summary>
/// <param name="guest">The measured guest.</param>
/// <param name="peerPort">TCP port of the host's <see cref="BenchPeer"/>.</param>
/// <param name="directory">Where disks and bundles are made; the caller deletes it.</param>
public sealed class XenBenchMachines(BenchGuest guest, int peerPort, string directory) : BenchMachines(guest, peerPort, directory)
{
    /// <summary>The emulated devices stay beside the PV ones, and no driver of the PV ones is there (xen_emul_unplug, kernel-parameters.txt).</summary>
    private const string KeepEmulatedDevices = " xen_emul_unplug=never";

    /// <inheritdoc/>
    public override BenchRival Rival => BenchRival.EmulatedDevices;

    /// <inheritdoc/>
    protected override Accelerator Accelerator => XenBed.Accelerator;

    /// <inheritdoc/>
    public override async Task<BenchBed> NativeAsync(Action<string> report, CancellationToken cancellation) =>
        await InDomainAsync(new BenchBed("native", Boot("native", "hvc0"), Console: null) { LayerMemoryKiB = 0 }, XenDomainType.Pvh, report, cancellation)
            .ConfigureAwait(false);

    /// <inheritdoc/>
    public override async Task<BenchBed> RivalAsync(Action<string> report, CancellationToken cancellation)
    {
        BenchGuest guest = await BenchGuest.PrepareForEmulatedDevicesAsync(report, cancellation).ConfigureAwait(false);
        MachineOptions machine = Boot(guest, "emulated", "hvc0");
        string disk = Path.Combine(Directory, "boot.img");
        await BootDisk.WriteLinuxAsync(guest.Kernel, guest.Ramdisk, machine.CommandLine + KeepEmulatedDevices, disk, cancellation).ConfigureAwait(false);
        BenchBed bed = new("emulated devices", machine with { BootDisk = disk }, Console: null) { LayerMemoryKiB = 0 };
        return await InDomainAsync(bed, XenDomainType.Hvm, report, cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override async Task<BenchBed> BlanketAsync(string image, CancellationToken cancellation) =>
        await InDomainAsync(await base.BlanketAsync(image, cancellation).ConfigureAwait(false), XenDomainType.Pvh, static _ => { }, cancellation).ConfigureAwait(false);

    private static async Task<BenchBed> InDomainAsync(BenchBed bed, XenDomainType type, Action<string> report, CancellationToken cancellation)
    {
        XenDomain domain = new() { Machine = bed.Machine, Type = type, HasEmulatedDisks = type == XenDomainType.Hvm, HasNativeTsc = true };
        await XenBed.PrepareAsync(domain, report, cancellation).ConfigureAwait(false);
        return bed with { Xen = domain };
    }
}
