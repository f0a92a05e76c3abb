using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Qemu;

/// <summary>A running L0 machine. Disposing ends it.</summary>
public sealed class VirtualMachine : IL0Machine
{
    private readonly QemuProcess _process;
    private readonly string _socketDirectory;
    private readonly Dictionary<uint, NetworkStream> _consoles;

    private VirtualMachine(QemuProcess process, string socketDirectory, NetworkStream log, Dictionary<uint, NetworkStream> consoles)
    {
        _process = process;
        _socketDirectory = socketDirectory;
        Log = log;
        _consoles = consoles;
    }

    /// <inheritdoc/>
    /// <remarks>The serial line COM1.</remarks>
    public Stream Log { get; }

    /// <inheritdoc/>
    public Task<int> Exited => _process.Exited;

    /// <summary>The process id of QEMU, for tests that kill it.</summary>
    public int ProcessId => _process.Id;

    /// <inheritdoc/>
    public string Diagnostics => _process.Diagnostics;

    /// <inheritdoc/>
    public string? Failure => null;

    /// <inheritdoc/>
    public Stream Console(uint port) => _consoles[port];

    /// <summary>Starts QEMU; returns when all its lines are connected.</summary>
    /// <exception cref="HostException">QEMU is missing or ended at once; the message has its words.</exception>
    public static async Task<VirtualMachine> StartAsync(MachineOptions options, CancellationToken cancellation)
    {
        string directory = Directory.CreateTempSubdirectory("blanket-").FullName;
        using Listener log = new(QemuCommandLine.LogSocket(directory));
        Dictionary<uint, Listener> listeners = [];
        QemuProcess? process = null;
        try
        {
            foreach ((uint number, _) in options.ConsolePorts)
            {
                listeners.Add(number, new Listener(QemuCommandLine.ConsoleSocket(directory, number)));
            }

            process = QemuProcess.Start(QemuCommandLine.Build(options, directory));
            NetworkStream logStream = await log.AcceptAsync(process, cancellation).ConfigureAwait(false);
            Dictionary<uint, NetworkStream> consoles = [];
            foreach ((uint number, Listener listener) in listeners)
            {
                consoles.Add(number, await listener.AcceptAsync(process, cancellation).ConfigureAwait(false));
            }

            return new VirtualMachine(process, directory, logStream, consoles);
        }
        catch
        {
            await StopAsync(process).ConfigureAwait(false);
            Directory.Delete(directory, recursive: true);
            throw;
        }
        finally
        {
            foreach (Listener listener in listeners.Values)
            {
                listener.Dispose();
            }
        }
    }

    /// <inheritdoc/>
    public void Kill() => _process.Kill();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(_process).ConfigureAwait(false);
        foreach (Stream stream in _consoles.Values.Append(Log))
        {
            await stream.DisposeAsync().ConfigureAwait(false);
        }

        Directory.Delete(_socketDirectory, recursive: true);
    }

    private static async Task StopAsync(QemuProcess? process)
    {
        if (process is not null)
        {
            process.Kill();
            await process.Exited.ConfigureAwait(false);
        }
    }

    /// <summary>A Unix socket that QEMU connects to once.</summary>
    private sealed class Listener : IDisposable
    {
        private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

        internal Listener(string path)
        {
            _socket.Bind(new UnixDomainSocketEndPoint(path));
            _socket.Listen(1);
        }

        public void Dispose() => _socket.Dispose();

        internal async Task<NetworkStream> AcceptAsync(QemuProcess process, CancellationToken cancellation)
        {
            using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task<Socket> accept = _socket.AcceptAsync(stop.Token).AsTask();
            if (await Task.WhenAny(accept, process.Exited).ConfigureAwait(false) == accept)
            {
                return new NetworkStream(await accept.ConfigureAwait(false), ownsSocket: true);
            }

            await stop.CancelAsync().ConfigureAwait(false);
            throw new HostException($"QEMU ended with status {await process.Exited.ConfigureAwait(false)}: {process.Diagnostics.Trim()}");
        }
    }
}
