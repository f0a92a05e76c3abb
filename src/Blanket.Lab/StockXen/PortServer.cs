using System;
using System.IO;
using System.Net.Sockets;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.StockXen;

/// <summary>A port of a shared line as a Unix socket for one connection after the other. What the port says while nobody is connected is forgotten.</summary>
internal sealed class PortServer : IDisposable
{
    private const int BufferSize = 16 << 10;

    private readonly Stream _port;
    private readonly SocketServer? _server;
    private volatile NetworkStream? _connection;

    /// <summary>Starts to read the port, and listens.</summary>
    /// <param name="port">The port's stream.</param>
    /// <param name="path">The socket's path; null when nobody may connect.</param>
    internal PortServer(Stream port, string? path)
    {
        _port = port;
        if (path is not null)
        {
            _server = new SocketServer(path, ServeAsync);
        }

        _ = SendAsync();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _server?.Dispose();
        _connection?.Dispose();
    }

    private async Task ServeAsync(NetworkStream connection)
    {
        using (connection)
        {
            _connection = connection;
            await ReceiveAsync(connection).ConfigureAwait(false);
            _connection = null;
        }
    }

    private async Task ReceiveAsync(NetworkStream connection)
    {
        byte[] buffer = new byte[BufferSize];
        try
        {
            for (int count = await connection.ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await connection.ReadAsync(buffer).ConfigureAwait(false))
            {
                await _port.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
            }
        }
        catch (IOException)
        {
            // Whoever asked has gone.
        }
    }

    private async Task SendAsync()
    {
        byte[] buffer = new byte[BufferSize];
        for (int count = await _port.ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await _port.ReadAsync(buffer).ConfigureAwait(false))
        {
            try
            {
                if (_connection is NetworkStream connection)
                {
                    await connection.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // Whoever asked does not wait for the answer.
            }
        }
    }
}
