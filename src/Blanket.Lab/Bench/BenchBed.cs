using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;
using Blanket.Lab.StockXen;

namespace Blanket.Lab.Bench;

/// <summary>A machine that runs the measuring program in some guest.</summary>
/// <param name="Name">What messages call it.</param>
/// <param name="Machine">The machine.</param>
/// <param name="Console">The console port with the program's lines; null for the log.</param>
public sealed record BenchBed(string Name, MachineOptions Machine, uint? Console)
{
    private const int BufferSize = 16 << 10;
    private const int RememberedLines = 3;

    /// <summary>How stock Xen runs the machine; null when QEMU alone does.</summary>
    public XenDomain? Xen { get; init; }

    /// <summary>Runs to the program's last line, then ends the machine.</summary>
    /// <param name="timeout">Longest time of the host.</param>
    /// <param name="cancellation">Ends the machine.</param>
    /// <returns>What the program said.</returns>
    /// <exception cref="HostException">The program did not come to its end; the message says why.</exception>
    public async Task<BenchOutput> RunAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        await using IL0Machine machine = await StartAsync(cancellation).ConfigureAwait(false);
        BenchOutput output = new();
        Queue<string> last = new();
        TaskCompletionSource over = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task[] pumps =
        [
            PumpAsync(machine.Log, line => Take(line, isProgram: Console is null)),
            .. Machine.ConsolePorts.Select(port => PumpAsync(machine.Console(port.Number), line => Take(line, isProgram: port.Number == Console))),
        ];
        Task time = Task.Delay(timeout, cancellation);
        Task first = await Task.WhenAny(over.Task, machine.Exited, time).ConfigureAwait(false);
        machine.Kill();
        await Task.WhenAll(pumps).ConfigureAwait(false);
        cancellation.ThrowIfCancellationRequested();
        if (LayerMemoryKiB is long known)
        {
            output.AddKnown(BenchRow.LayerMemory, known);
        }

        return output.IsDone ? output : throw new HostException($"{Name}: {Reason()}");

        void Take(string line, bool isProgram)
        {
            lock (last)
            {
                Remember(last, line);
                if (isProgram)
                {
                    output.Add(line);
                }
                else
                {
                    output.AddLog(line);
                }

                if (output.IsOver)
                {
                    over.TrySetResult();
                }
            }
        }

        string Reason() => output.Failure is string failure
            ? failure
            : machine.Failure ?? $"{(first == time ? $"not done after {timeout.TotalSeconds:F0} s" : "the machine ended early")}; last lines: "
              + string.Join(" / ", last) + machine.Diagnostics.Trim();
    }

    /// <summary>Memory of the layer that is known without measuring, in KiB; null when the layer tells.</summary>
    public long? LayerMemoryKiB { get; init; }

    private async Task<IL0Machine> StartAsync(CancellationToken cancellation) => Xen is XenDomain domain
        ? await XenBed.StartAsync(domain with { Machine = Machine }, null, static _ => { }, cancellation).ConfigureAwait(false)
        : await VirtualMachine.StartAsync(Machine, cancellation).ConfigureAwait(false);

    private static void Remember(Queue<string> last, string line)
    {
        if (line.Length > 0)
        {
            last.Enqueue(line);
        }

        if (last.Count > RememberedLines)
        {
            last.Dequeue();
        }
    }

    private static async Task PumpAsync(Stream source, Action<string> take)
    {
        LineSplitter lines = new();
        byte[] buffer = new byte[BufferSize];
        for (int count = await ReadAsync(source, buffer).ConfigureAwait(false); count > 0; count = await ReadAsync(source, buffer).ConfigureAwait(false))
        {
            foreach (string line in lines.Add(buffer.AsSpan(0, count)))
            {
                take(line);
            }
        }
    }

    /// <summary>Reads; a connection that a killed QEMU reset has ended like any other.</summary>
    private static async Task<int> ReadAsync(Stream source, byte[] buffer)
    {
        try
        {
            return await source.ReadAsync(buffer).ConfigureAwait(false);
        }
        catch (IOException e) when (e.InnerException is SocketException)
        {
            return 0;
        }
    }
}
