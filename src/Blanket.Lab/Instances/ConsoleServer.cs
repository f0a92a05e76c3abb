using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Runs;

namespace Blanket.Lab.Instances;

/// <summary>
/// Lets other commands see a guest's console and type on it: a Unix socket on which each connection first gets the last output and
/// then what comes. A connection that does not keep up is closed; the guest never waits for it.
/// </summary>
public sealed class ConsoleServer : IConsoleSink, IDisposable
{
    private const int PastSize = 64 << 10;
    private const int PiecesInFlight = 256;
    private const int KeyBuffer = 256;

    private readonly IConsoleSink? _next;
    private readonly Stream _keys;
    private readonly SocketServer _server;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _keysTurn = new(1);
    private readonly List<Channel<byte[]>> _watchers = [];
    private byte[] _past = [];

    /// <summary>Listens.</summary>
    /// <param name="path">The socket's path.</param>
    /// <param name="next">Also gets the output, or null.</param>
    /// <param name="keys">Where keys go.</param>
    public ConsoleServer(string path, IConsoleSink? next, Stream keys)
    {
        _next = next;
        _keys = keys;
        File.Delete(path);
        _server = new SocketServer(path, connection =>
        {
            _ = ServeAsync(connection);
            return Task.CompletedTask;
        });
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        lock (_lock)
        {
            byte[] piece = bytes.ToArray();
            _past = [.. _past, .. piece];
            _past = _past.Length > PastSize ? _past[^PastSize..] : _past;
            _watchers.RemoveAll(watcher => !watcher.Writer.TryWrite(piece) && watcher.Writer.TryComplete());
        }

        if (_next is not null)
        {
            await _next.WriteAsync(bytes).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _server.Dispose();
        lock (_lock)
        {
            _watchers.ForEach(watcher => watcher.Writer.TryComplete());
        }
    }

    private async Task ServeAsync(NetworkStream connection)
    {
        Channel<byte[]> output = Channel.CreateBounded<byte[]>(PiecesInFlight);
        lock (_lock)
        {
            output.Writer.TryWrite(_past);
            _watchers.Add(output);
        }

        await using (connection.ConfigureAwait(false))
        {
            Task typing = TypeAsync(connection);
            await SendAsync(connection, output.Reader, typing).ConfigureAwait(false);
        }

        lock (_lock)
        {
            _watchers.Remove(output);
        }
    }

    private static async Task SendAsync(NetworkStream connection, ChannelReader<byte[]> output, Task typing)
    {
        try
        {
            while (!typing.IsCompleted)
            {
                Task<bool> more = output.WaitToReadAsync().AsTask();
                if (await Task.WhenAny(more, typing).ConfigureAwait(false) == typing || !await more.ConfigureAwait(false))
                {
                    return;
                }

                while (output.TryRead(out byte[]? piece))
                {
                    await connection.WriteAsync(piece).ConfigureAwait(false);
                }
            }
        }
        catch (IOException)
        {
            // The watcher has gone.
        }
    }

    private async Task TypeAsync(NetworkStream connection)
    {
        byte[] buffer = new byte[KeyBuffer];
        try
        {
            for (int count = await connection.ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await connection.ReadAsync(buffer).ConfigureAwait(false))
            {
                await _keysTurn.WaitAsync().ConfigureAwait(false);
                try
                {
                    await _keys.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
                }
                finally
                {
                    _keysTurn.Release();
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The watcher or the machine has gone.
        }
    }
}
