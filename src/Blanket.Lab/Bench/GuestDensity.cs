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
using Blanket.Lab.Bundles;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Lab.Bench;

/// <summary>
/// Adds guests to a running machine, one after the other, each when the one before answers ping, and at last asks all of them again. A guest more,
/// the watcher, pings.
/// </summary>
/// <param name="guest">What is added.</param>
/// <param name="image">Path of blanket.elf.</param>
/// <param name="memoryMiB">Memory that each guest starts with: Debian's kernel needs some 80 MiB until it has freed what only its start needs.</param>
/// <param name="targetMiB">Memory that it keeps: its balloon gives the rest back before the next guest comes.</param>
/// <param name="directory">Where files are made; the caller deletes it.</param>
public sealed class GuestDensity(DensityGuest guest, string image, int memoryMiB, int targetMiB, string directory)
{
    private const int Cpus = 2;
    private const int MachineMiB = 4096;
    private const int WatcherMiB = 96;
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
    /// <exception cref="HostException">A guest did not start or does not answer.</exception>
    public async Task RunAsync(int count, Accelerator accelerator, Action<DensityStep> step, CancellationToken cancellation)
    {
        using Instance instance = Instance.Create(string.Create(CultureInfo.InvariantCulture, $"density-{Environment.ProcessId}"));
        MachinePlan plan = BundleBuilder.Plan([guest.Write(directory, WatcherName, WatcherMiB, $"watcher={AddressOf(0)}")], static _ => { });
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
            ConsolePorts = [(MachinePlan.BlanketConsolePort, MachinePlan.BlanketConsolePortName), (plan.Guests[0].ConsolePort, plan.Guests[0].ConsolePortName)],
        };
        await using VirtualMachine machine = await VirtualMachine.StartAsync(options, cancellation).ConfigureAwait(false);
        Answers answers = new(machine.Console(plan.Guests[0].ConsolePort));
        Task[] pumps = [answers.PumpAsync(), DrainAsync(machine.Log), DrainAsync(machine.Console(MachinePlan.BlanketConsolePort))];
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
        }
        finally
        {
            machine.Kill();
            await Task.WhenAll(pumps).ConfigureAwait(false);
        }
    }

    private static string AddressOf(int number) =>
        string.Create(CultureInfo.InvariantCulture, $"10.77.{number / HostsOfThirdByte}.{(number % HostsOfThirdByte) + 1}");

    private async Task<DensityStep> AddAsync(int number, ManagementClient client, Answers answers, CancellationToken cancellation)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"guest{number}");
        MachinePlan plan = BundleBuilder.Plan([guest.Write(directory, name, memoryMiB, $"address={AddressOf(number)}")], static _ => { });
        byte[] bundle = await BundleBuilder.BuildAsync(plan, string.Empty, cancellation).ConfigureAwait(false);
        await client.SendAsync(bundle, cancellation).ConfigureAwait(false);
        Stopwatch watch = Stopwatch.StartNew();
        await client.StartSentAsync(cancellation).ConfigureAwait(false);
        TimeSpan build = watch.Elapsed;
        await answers.AskAsync(AddressOf(number), s_patience, cancellation).ConfigureAwait(false);
        TimeSpan answer = watch.Elapsed - build;
        await ShrinkAsync(client, name, cancellation).ConfigureAwait(false);
        ManagementAudit audit = await client.AuditAsync(cancellation).ConfigureAwait(false);
        long layer = (long)(audit.Frames - audit.FreeFrames - audit.GuestFrames) * KiBPerFrame;
        return new DensityStep(number, build, answer, layer, (long)audit.FreeFrames * KiBPerFrame);
    }

    private async Task ShrinkAsync(ManagementClient client, string name, CancellationToken cancellation)
    {
        ulong target = (ulong)targetMiB << 10;
        await client.ChangeAsync(ManagementCommand.SetMemory, name, target, cancellation).ConfigureAwait(false);
        Stopwatch watch = Stopwatch.StartNew();
        ulong memory;
        do
        {
            await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
            memory = (await client.ListAsync(cancellation).ConfigureAwait(false)).Single(record => ManagementClient.NameOf(record.Name) == name).MemoryKiB;
            if (watch.Elapsed > s_patience)
            {
                throw new HostException($"{name} has {memory} KiB still, expected {target}");
            }
        }
        while (memory > target);
    }

    private static async Task DrainAsync(Stream stream)
    {
        byte[] buffer = new byte[4096];
        while (await ReadAsync(stream, buffer).ConfigureAwait(false) > 0)
        {
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
