using System;
using System.Net.Sockets;
using System.Threading.Tasks;

namespace Blanket.Lab.Hosting;

/// <summary>Listens on a Unix socket and has whoever connects served, until disposal.</summary>
internal sealed class SocketServer : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Func<NetworkStream, Task> _serve;

    /// <summary>Listens.</summary>
    /// <param name="path">The socket's path, where nothing is yet.</param>
    /// <param name="serve">Serves a connection and disposes of it. The next one waits until the task is complete.</param>
    internal SocketServer(string path, Func<NetworkStream, Task> serve)
    {
        _serve = serve;
        _socket.Bind(new UnixDomainSocketEndPoint(path));
        _socket.Listen();
        _ = AcceptAsync();
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket connection = await _socket.AcceptAsync().ConfigureAwait(false);
                await _serve(new NetworkStream(connection, ownsSocket: true)).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The run is over.
        }
    }
}
