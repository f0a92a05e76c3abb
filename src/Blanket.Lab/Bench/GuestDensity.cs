using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Lab.Bench.Profile;
using Blanket.Lab.Bundles;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Lab.Bench;

/// <summary>
/// Adds guests to a running machine, one after the other, each when the one before answers ping, asks all of them again at last, and destroys them. A
/// guest more, the watcher, pings.
/// </summary>
/// <param name="guest">What is added.</param>
/// <param name="image">Path of blanket.elf.</param>
/// <param name="memoryMiB">Memory that each guest starts with.</param>
/// <param name="targetMiB">Memory that it keeps: its balloon gives the rest back before the next guest comes.</param>
/// <param name="directory">Where files are made, Blanket's log (<c>blanket.log</c>) among them; the caller deletes it.</param>
/// <param name="plugin">Path of the compiled plugin of <see cref="InstructionProfile"/>, to count instructions; null for none. Software emulation only.</param>
public sealed class GuestDensity(DensityGuest guest, string image, int memoryMiB, int targetMiB, string directory, string? plugin = null)
{
    private const int Cpus = 2;
    private const int MachineMiB = 4096;
    private const int HostsOfThirdByte = 250;
    private const string WatcherName = "watcher";
    private const int KiBPerFrame = 4;
    private const int PollMilliseconds = 50;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    /// <summary>Runs to the end.</summary>
    /// <param name="count">Guests.</param>
    /// <param name="accelerator">How CPUs are run.</param>
    /// <param name="step">Told after each guest.</param>
    /// <param name="cancellation">Ends the machine.</param>
    /// <returns>Memory of the machine in KiB that is in use when all guests have gone.</returns>
    /// <exception cref="HostException">A guest did not start, does not answer, or does not go.</exception>
    public async Task<long> RunAsync(int count, Accelerator accelerator, Action<DensityStep> step, CancellationToken cancellation)
    {
        using Instance instance = Instance.Create(string.Create(CultureInfo.InvariantCulture, $"density-{Environment.ProcessId}"));
        MachinePlan plan = BundleBuilder.Plan([guest.Write(directory, WatcherName, guest.StartMemoryMiB, $"watcher={AddressOf(0)}")], static _ => { });
        string bundle = Path.Combine(directory, "bundle");
        await File.WriteAllBytesAsync(bundle, await BundleBuilder.BuildAsync(plan, "stay", cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
        MachineOptions options = new()
        {
            Kernel = image,
            Module = bundle,
            Accelerator = accelerator,
            MemoryMiB = MachineMiB,
            Cpus = Cpus,
            Nics = plan.Bridges.Count,
            Instance = instance,
            ExtraArguments = plugin is null ? [] : ["-plugin", $"{plugin},counts={CountsFile}"],
            ConsolePorts = [(MachinePlan.BlanketConsolePort, MachinePlan.BlanketConsolePortName), (plan.Guests[0].ConsolePort, plan.Guests[0].ConsolePortName)],
        };
        await using VirtualMachine machine = await VirtualMachine.StartAsync(options, cancellation).ConfigureAwait(false);
        Answers answers = new(machine.Console(plan.Guests[0].ConsolePort));
        using FileStream log = File.Create(Path.Combine(directory, "blanket.log"));
        Task[] pumps = [answers.PumpAsync(), CopyAsync(machine.Log, log), CopyAsync(machine.Console(MachinePlan.BlanketConsolePort), Stream.Null)];
        try
        {
            await answers.AwaitAsync("up ", s_patience, cancellation).ConfigureAwait(false);
            using ManagementClient client = await ManagementClient.ConnectAsync(instance, static () => { }, cancellation).ConfigureAwait(false);
            for (int number = 1; number <= count; number++)
            {
                step(await AddAsync(number, client, answers, cancellation).ConfigureAwait(false));
            }

            for (int number = 1; number <= count; number++)
            {
                await answers.AskAsync(AddressOf(number), s_patience, cancellation).ConfigureAwait(false);
            }

            return await DestroyAllAsync(client, cancellation).ConfigureAwait(false);
        }
        finally
        {
            machine.Kill();
            await Task.WhenAll(pumps).ConfigureAwait(false);
        }
    }

    private string CountsFile => Path.Combine(directory, "counts");

    private static string AddressOf(int number) =>
        string.Create(CultureInfo.InvariantCulture, $"10.77.{number / HostsOfThirdByte}.{(number % HostsOfThirdByte) + 1}");

    private async Task<DensityStep> AddAsync(int number, ManagementClient client, Answers answers, CancellationToken cancellation)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"guest{number}");
        MachinePlan plan = BundleBuilder.Plan([guest.Write(directory, name, memoryMiB, $"address={AddressOf(number)}")], static _ => { });
        byte[] bundle = await BundleBuilder.BuildAsync(plan, string.Empty, cancellation).ConfigureAwait(false);
        DensityCost.Meter meter = new(plugin is null ? null : new InstructionCounts(CountsFile));
        await client.SendAsync(bundle, cancellation).ConfigureAwait(false);
        DensityCost send = meter.Take();
        await client.StartSentAsync(cancellation).ConfigureAwait(false);
        await AwaitAsync(client, static guests => !guests.Any(record => ManagementClient.IsComing(in record)), $"{name} was not built", cancellation).ConfigureAwait(false);
        DensityCost build = meter.Take();
        await answers.AskAsync(AddressOf(number), s_patience, cancellation).ConfigureAwait(false);
        DensityCost answer = meter.Take();
        if (targetMiB < memoryMiB)
        {
            await ShrinkAsync(client, name, cancellation).ConfigureAwait(false);
        }

        ManagementAudit audit = await client.AuditAsync(cancellation).ConfigureAwait(false);
        return new DensityStep(number, send, build, answer, LayerKiB(in audit), (long)audit.FreeFrames * KiBPerFrame);
    }

    private static long LayerKiB(in ManagementAudit audit) => (long)(audit.Frames - audit.FreeFrames - audit.GuestFrames) * KiBPerFrame;

    private async Task ShrinkAsync(ManagementClient client, string name, CancellationToken cancellation)
    {
        ulong target = (ulong)targetMiB << 10;
        await client.ChangeAsync(ManagementCommand.SetMemory, name, target, cancellation).ConfigureAwait(false);
        await AwaitAsync(
            client,
            guests => guests.Single(record => ManagementClient.NameOf(record.Name) == name).MemoryKiB <= target,
            string.Create(CultureInfo.InvariantCulture, $"{name} did not come down to {targetMiB} MiB"),
            cancellation).ConfigureAwait(false);
    }

    private static async Task<long> DestroyAllAsync(ManagementClient client, CancellationToken cancellation)
    {
        foreach (ManagementGuest record in await client.ListAsync(cancellation).ConfigureAwait(false))
        {
            await client.ChangeAsync(ManagementCommand.Destroy, ManagementClient.NameOf(record.Name), 0, cancellation).ConfigureAwait(false);
        }

        await AwaitAsync(client, static guests => guests.Count == 0, "destroyed guests did not go", cancellation).ConfigureAwait(false);
        ManagementAudit audit = await client.AuditAsync(cancellation).ConfigureAwait(false);
        return LayerKiB(in audit);
    }

    private static async Task AwaitAsync(
        ManagementClient client, Func<IReadOnlyList<ManagementGuest>, bool> condition, string otherwise, CancellationToken cancellation)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!condition(await client.ListAsync(cancellation).ConfigureAwait(false)))
        {
            if (watch.Elapsed > s_patience)
            {
                throw new HostException($"{otherwise} within {s_patience.TotalSeconds} s");
            }

            await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
        }
    }

    private static async Task CopyAsync(Stream from, Stream to)
    {
        byte[] buffer = new byte[4096];
        for (int count = await ReadAsync(from, buffer).ConfigureAwait(false); count > 0; count = await ReadAsync(from, buffer).ConfigureAwait(false))
        {
            await to.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
        }
    }

    /// <summary>Reads; a connection that a killed QEMU reset has ended like any other.</summary>
    private static async Task<int> ReadAsync(Stream stream, byte[] buffer)
    {
        try
        {
            return await stream.ReadAsync(buffer).ConfigureAwait(false);
        }
        catch (IOException)
        {
            return 0;
        }
    }

    /// <summary>The watcher's console: addresses in, lines out.</summary>
    private sealed class Answers(Stream console)
    {
        private const string Prefix = "density: ";
        private readonly Lock _lock = new();
        private readonly HashSet<string> _lines = new(StringComparer.Ordinal);
        private readonly SemaphoreSlim _news = new(0);
        private string _last = "nothing";

        internal async Task PumpAsync()
        {
            LineSplitter lines = new();
            byte[] buffer = new byte[4096];
            for (int count = await ReadAsync(console, buffer).ConfigureAwait(false); count > 0; count = await ReadAsync(console, buffer).ConfigureAwait(false))
            {
                foreach (string line in lines.Add(buffer.AsSpan(0, count)))
                {
                    Take(line.Trim());
                }
            }
        }

        /// <summary>Asks until an address answers.</summary>
        internal async Task AskAsync(string address, TimeSpan limit, CancellationToken cancellation)
        {
            lock (_lock)
            {
                _lines.Remove($"answers {address}");
            }

            await console.WriteAsync(Encoding.ASCII.GetBytes(address + "\n"), cancellation).ConfigureAwait(false);
            await AwaitAsync($"answers {address}", limit, cancellation).ConfigureAwait(false);
        }

        /// <summary>Waits for a line of the watcher's that begins with a text.</summary>
        internal async Task AwaitAsync(string text, TimeSpan limit, CancellationToken cancellation)
        {
            using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            end.CancelAfter(limit);
            try
            {
                while (!IsThere(text))
                {
                    await _news.WaitAsync(end.Token).ConfigureAwait(false);
                }
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw new HostException($"the watcher did not say '{text}' within {limit.TotalSeconds} s; it said last: {_last}");
            }
        }

        private bool IsThere(string text)
        {
            lock (_lock)
            {
                return _lines.Any(line => line.StartsWith(text, StringComparison.Ordinal));
            }
        }

        private void Take(string line)
        {
            lock (_lock)
            {
                _last = line;
                if (line.StartsWith(Prefix, StringComparison.Ordinal))
                {
                    _lines.Add(line[Prefix.Length..]);
                }
            }

            _news.Release();
        }
    }
}
