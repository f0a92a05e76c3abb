using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Qemu;

/// <summary>A connection to QEMU's machine protocol (QMP).</summary>
internal sealed class QmpConnection : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly List<JsonNode> _events = [];
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;

    private QmpConnection(Stream stream)
    {
        _reader = new StreamReader(stream);
        _writer = new StreamWriter(stream) { AutoFlush = true, NewLine = "\n" };
    }

    /// <summary>Connects to a machine that listens on a Unix socket.</summary>
    /// <exception cref="HostException">Nobody listens there.</exception>
    internal static async Task<QmpConnection> OpenAsync(string path, CancellationToken cancellation)
    {
        QmpConnection connection = new(await OpenStreamAsync(path, cancellation).ConfigureAwait(false));
        await connection.ReadAsync(cancellation).ConfigureAwait(false);
        await connection.ExecuteAsync("qmp_capabilities", null, cancellation).ConfigureAwait(false);
        return connection;
    }

    private static async Task<NetworkStream> OpenStreamAsync(string path, CancellationToken cancellation)
    {
        try
        {
            return await SocketClient.ConnectAsync(path, cancellation).ConfigureAwait(false);
        }
        catch (SocketException e)
        {
            throw new HostException($"QEMU does not listen on {path}: {e.Message}");
        }
    }

    /// <summary>Executes a command.</summary>
    /// <returns>What it returns.</returns>
    /// <exception cref="HostException">QEMU refused, or ended.</exception>
    internal async Task<JsonNode> ExecuteAsync(string command, JsonObject? arguments, CancellationToken cancellation)
    {
        JsonObject request = new() { ["execute"] = command };
        if (arguments is not null)
        {
            request["arguments"] = arguments;
        }

        await _writer.WriteLineAsync(request.ToJsonString().AsMemory(), cancellation).ConfigureAwait(false);
        while (true)
        {
            JsonNode answer = await ReadAsync(cancellation).ConfigureAwait(false);
            if (answer["error"] is JsonNode error)
            {
                throw new HostException($"QEMU refused {command}: {error["desc"]}");
            }

            if (answer["return"] is JsonNode result)
            {
                return result;
            }

            // Events come in between.
            _events.Add(answer);
        }
    }

    /// <summary>Waits for an event that belongs to a command of this connection's.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="isMeant">Looks at the event's data.</param>
    /// <param name="cancellation">Stops the wait.</param>
    /// <exception cref="HostException">QEMU ended, or the event did not come within 30 s.</exception>
    internal async Task AwaitEventAsync(string name, Func<JsonNode, bool> isMeant, CancellationToken cancellation)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(s_patience);
        try
        {
            while (_events.RemoveAll(happening => (string?)happening["event"] == name && happening["data"] is JsonNode data && isMeant(data)) == 0)
            {
                _events.Add(await ReadAsync(limit.Token).ConfigureAwait(false));
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new HostException($"QEMU did not tell {name} within {s_patience.TotalSeconds} s");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _reader.Dispose();
        _writer.Dispose();
    }

    private async Task<JsonNode> ReadAsync(CancellationToken cancellation)
    {
        string? line = await _reader.ReadLineAsync(cancellation).ConfigureAwait(false);
        return line is null ? throw new HostException("QEMU closed the connection") : JsonNode.Parse(line)!;
    }
}
