using System;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Qemu;
using Blanket.Lab.StockXen;

namespace Blanket.Lab.Bench;

/// <summary>The machines of a provider who runs KVM: virtio devices.</summary>
/// <param name="guest">The measured guest.</param>
/// <param name="accelerator">What the host offers.</param>
/// <param name="countInstructions">
/// QEMU's instruction counter is the clock: one instruction is one nanosecond, whatever the host does meanwhile, and idle time
/// is skipped (<c>-icount shift=0,sleep=off</c>). For software emulation only.
/// </param>
/// <param name="peerPort">TCP port of the host's <see cref="BenchPeer"/>.</param>
/// <param name="directory">Where disks and bundles are made; the caller deletes it.</param>
public sealed class KvmBenchMachines(BenchGuest guest, Accelerator accelerator, bool countInstructions, int peerPort, string directory)
    : BenchMachines(guest, peerPort, directory)
{
    /// <summary>
    /// The CPU of software emulation on every bed. SMAP ends stock Xen's dom0 there and RDTSCP is emulated wrongly for Xen's
    /// guests; no bed has them, so that all beds run on one CPU.
    /// </summary>
    private const string EmulatedCpu = "max,-la57,-smap,-rdtscp";

    private readonly int _peerPort = peerPort;

    /// <inheritdoc/>
    public override BenchRival Rival => BenchRival.StockXen;

    /// <inheritdoc/>
    /// <remarks>Waiting for a device takes no instructions. What they execute can be profiled.</remarks>
    public override bool WithDevices => !countInstructions || (Profile is (string row, _) && BenchRow.All.Any(known => known.Name == row && known.IsDevice));

    /// <summary>The row whose instructions are profiled, by <see cref="BenchRow.Name"/>, and the plugin that does; null for none.</summary>
    public (string Row, string Plugin)? Profile { get; init; }

    /// <summary>Where the plugin leaves the profile of a bed.</summary>
    /// <param name="bed">The bed's name on the command line.</param>
    public string ProfileFile(string bed) => Path.Combine(Directory, bed + ".profile");

    /// <inheritdoc/>
    public override Task<BenchBed> NativeAsync(Action<string> report, CancellationToken cancellation) =>
        Task.FromResult(new BenchBed("native", Boot("native", "ttyS0"), Console: null) { LayerMemoryKiB = 0 });

    /// <inheritdoc/>
    /// <remarks>The guest on Debian's stock Xen with a Debian dom0.</remarks>
    public override async Task<BenchBed> RivalAsync(Action<string> report, CancellationToken cancellation)
    {
        MachineOptions machine = Boot("xen", "hvc0");
        XenDomain domain = new() { Machine = machine, Type = XenDomainType.Pv, IsMeasured = true };
        await XenBed.PrepareAsync(domain, report, cancellation).ConfigureAwait(false);
        return new BenchBed("stock Xen", machine, Console: null) { Xen = domain, LayerMemoryKiB = (long)XenBed.LayerMemoryMiB << 10 };
    }

    /// <inheritdoc/>
    protected override Accelerator Accelerator => countInstructions ? accelerator with { Argument = "tcg" } : accelerator;

    /// <inheritdoc/>
    protected override string CommandLine(string console) => BenchGuest.CommandLine(console, WithDevices ? _peerPort : null, Profile?.Row);

    /// <inheritdoc/>
    protected override MachineOptions Machine(string name) => base.Machine(name) with
    {
        ExtraArguments =
        [
            .. accelerator.IsKvm ? Array.Empty<string>() : ["-cpu", EmulatedCpu],
            .. countInstructions ? ["-icount", "shift=0,sleep=off"] : Array.Empty<string>(),
            .. Profile is (_, string plugin) ? ["-plugin", $"{plugin},counts={ProfileFile(name)}"] : Array.Empty<string>(),
        ],
    };
}
