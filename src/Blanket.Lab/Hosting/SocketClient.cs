using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;

namespace Blanket.Lab.Hosting;

/// <summary>Connects to Unix sockets.</summary>
public static class SocketClient
{
    /// <summary>Connects.</summary>
    /// <param name="path">The socket's path.</param>
    /// <param name="cancellation">Stops the attempt.</param>
    /// <returns>The connection, which is the caller's to dispose of.</returns>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    public static async Task<NetworkStream> ConnectAsync(string path, CancellationToken cancellation)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
