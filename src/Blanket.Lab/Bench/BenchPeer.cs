using System;
using System.Buffers.Binary;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;

namespace Blanket.Lab.Bench;

/// <summary>
/// The other end of the measured TCP connections, on the host; guests reach it as 10.0.2.2 through QEMU's user network, on every bed. A
/// request is a letter and a count of bytes, 8 bytes little-endian: 'S' is followed by so many bytes and answered by one, 'R'
/// is answered by so many.
/// </summary>
public sealed class BenchPeer : IDisposable
{
    private const int HeaderSize = 9;
    private const int BufferSize = 64 << 10;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _over = new();

    /// <summary>Listens from now on, on a port of the system's choice.</summary>
    public BenchPeer()
    {
        _listener.Start();
        _ = AcceptAsync(_over.Token);
    }

    /// <summary>The port.</summary>
    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <inheritdoc/>
    public void Dispose()
    {
        _over.Cancel();
        _listener.Dispose();
        _over.Dispose();
    }

    private async Task AcceptAsync(CancellationToken over)
    {
        try
        {
            while (true)
            {
                TcpClient client = await _listener.AcceptTcpClientAsync(over).ConfigureAwait(false);
                _ = ServeAsync(client, over);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The benchmark is over.
        }
    }

    private static async Task ServeAsync(TcpClient client, CancellationToken over)
    {
        using (client)
        {
            client.NoDelay = true;
            NetworkStream stream = client.GetStream();
            byte[] header = new byte[HeaderSize];
            byte[] buffer = new byte[BufferSize];
            try
            {
                while (true)
                {
                    await stream.ReadExactlyAsync(header, over).ConfigureAwait(false);
                    ulong count = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(1));
                    if (header[0] == 'S')
                    {
                        await TakeAsync(stream, buffer, count, over).ConfigureAwait(false);
                        await stream.WriteAsync(buffer.AsMemory(0, 1), over).ConfigureAwait(false);
                    }
                    else
                    {
                        await GiveAsync(stream, buffer, count, over).ConfigureAwait(false);
                    }
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                // The guest has closed the connection, or its machine is gone.
            }
        }
    }

    private static async Task TakeAsync(NetworkStream stream, byte[] buffer, ulong count, CancellationToken over)
    {
        while (count > 0)
        {
            int part = (int)Math.Min(count, (ulong)buffer.Length);
            await stream.ReadExactlyAsync(buffer.AsMemory(0, part), over).ConfigureAwait(false);
            count -= (ulong)part;
        }
    }

    private static async Task GiveAsync(NetworkStream stream, byte[] buffer, ulong count, CancellationToken over)
    {
        while (count > 0)
        {
            int part = (int)Math.Min(count, (ulong)buffer.Length);
            await stream.WriteAsync(buffer.AsMemory(0, part), over).ConfigureAwait(false);
            count -= (ulong)part;
        }
    }
}
