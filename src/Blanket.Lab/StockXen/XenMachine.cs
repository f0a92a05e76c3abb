using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Abi;
using Blanket.Lab.Bundles;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Lab.StockXen;

/// <summary>A running domain on stock Xen, with the machine that Xen runs in.</summary>
public sealed class XenMachine : IL0Machine
{
    private const string FailurePrefix = "bed: failed: ";
    private const string XenPanic = "(XEN) Panic on CPU";
    private const int BufferSize = 16 << 10;

    private readonly VirtualMachine _machine;
    private readonly string _job;
    private readonly IReadOnlyList<PlannedDisk> _disks;
    private readonly SharedConsole? _console;
    private readonly Task _serialLine;
    private readonly XenControl _control;
    private readonly PortServer? _management;

    internal XenMachine(VirtualMachine machine, XenDomain domain, string job, IConsoleSink? log)
    {
        _machine = machine;
        _job = job;
        _disks = domain.Machine.Disks;
        Stream line = machine.Console(XenBed.DomainPort);
        if (domain.Machine.ConsolePorts.Count > 0)
        {
            IEnumerable<uint> ports = domain.Machine.ConsolePorts.Select(port => port.Number).Append(Management.SharedLinePort);
            _console = new SharedConsole(line, ports, MachinePlan.BlanketConsolePort);
            _management = new PortServer(_console.Streams[Management.SharedLinePort], domain.Machine.Instance?.ManagementSocket);
        }

        Log = _console?.Streams[MachinePlan.BlanketConsolePort] ?? line;
        _serialLine = ReadSerialLineAsync(log);
        _control = new XenControl(machine);
    }

    /// <inheritdoc/>
    /// <remarks>The domain's console; when consoles share it, Blanket's part of it.</remarks>
    public Stream Log { get; }

    /// <inheritdoc/>
    public Task<int> Exited => _machine.Exited;

    /// <inheritdoc/>
    public string Diagnostics => _machine.Diagnostics;

    /// <inheritdoc/>
    public string? Failure { get; private set; }

    /// <inheritdoc/>
    public Stream Console(uint port) => port == MachinePlan.BlanketConsolePort || _console is null ? Stream.Null : _console.Streams[port];

    /// <summary>The line that consoles share; null when the domain has its console for itself.</summary>
    public IConsoleLine? ConsoleLine => _console;

    /// <inheritdoc/>
    public void Kill() => _machine.Kill();

    /// <summary>Lets dom0 do something to the domain.</summary>
    /// <param name="word">
    /// <c>save-restore</c> (through a file), <c>migrate</c> (to the same host), <c>shutdown</c>, <c>reboot</c>, <c>destroy</c>,
    /// <c>memory MIB</c>, <c>list</c> (the domain as xl shows it), <c>reopen vbd/NUMBER</c> (its backend closes and opens again; vif the same),
    /// <c>detach NUMBER</c> (of a disk), <c>attach NUMBER=DEVICE</c> (of dom0), <c>detach-vif NUMBER</c>, or <c>attach-vif ADDRESS</c> (as number 0).
    /// </param>
    /// <returns>The exit status of dom0's tools; null when the machine ended before they did.</returns>
    public Task<int?> ActAsync(string word) => _control.ActAsync(word);

    /// <summary>Makes the image of one of the domain's disks larger.</summary>
    /// <param name="disk">Its index.</param>
    /// <param name="bytes">The new size.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="HostException">QEMU refused, or ended.</exception>
    public async Task ResizeDiskAsync(int disk, long bytes, CancellationToken cancellation)
    {
        using QmpConnection qemu = await QmpConnection.OpenAsync(XenBed.QmpSocket(_job), cancellation).ConfigureAwait(false);
        JsonObject arguments = new() { ["node-name"] = new DiskNodes(_disks[disk].Serial).FormatName, ["size"] = bytes };
        await qemu.ExecuteAsync("block_resize", arguments, cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _machine.DisposeAsync().ConfigureAwait(false);
        await _serialLine.ConfigureAwait(false);
        await _control.Finished.ConfigureAwait(false);
        _management?.Dispose();
        Directory.Delete(_job, recursive: true);
    }

    /// <summary>Reads what Xen and dom0 say, and notices when they fail.</summary>
    private async Task ReadSerialLineAsync(IConsoleSink? sink)
    {
        LineSplitter lines = new();
        byte[] buffer = new byte[BufferSize];
        for (int count = await ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await ReadAsync(buffer).ConfigureAwait(false))
        {
            Follow(lines.Add(buffer.AsSpan(0, count)));
            if (sink is not null)
            {
                await sink.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
            }
        }
    }

    private void Follow(IReadOnlyList<string> lines)
    {
        foreach (string line in lines)
        {
            if (line.StartsWith(FailurePrefix, StringComparison.Ordinal))
            {
                Failure ??= "dom0 of the Xen bed: " + line[FailurePrefix.Length..];
            }
            else if (line.StartsWith(XenPanic, StringComparison.Ordinal))
            {
                Failure ??= "the bed's own Xen panicked";
            }
        }
    }

    /// <summary>Reads; a connection that a killed QEMU reset, or that was closed with the machine, has ended like any other.</summary>
    private async Task<int> ReadAsync(byte[] buffer)
    {
        try
        {
            return await _machine.Log.ReadAsync(buffer).ConfigureAwait(false);
        }
        catch (Exception e) when (e is ObjectDisposedException || (e is IOException && e.InnerException is SocketException))
        {
            return 0;
        }
    }
}
