using System;
using System.IO;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.StockXen;

namespace Blanket.Cli.Tests;

public sealed class PortServerTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task ConnectionsSpeakWithThePortOneAfterTheOther()
    {
        using CancellationTokenSource limit = new(s_patience);
        Pipe output = new();
        using MemoryStream input = new();
        TaskCompletionSource<string> typed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using PortStream port = new(output.Reader.AsStream(), bytes =>
        {
            input.Write(bytes.Span);
            if (input.Length == 4)
            {
                typed.SetResult(Encoding.ASCII.GetString(input.ToArray()));
            }

            return Task.CompletedTask;
        });
        string path = Path.Combine(_directory.Path, "socket");
        using PortServer server = new(port, path);
        for (int i = 0; i < 2; i++)
        {
            using NetworkStream connection = await ConnectAsync(path, limit.Token);
            await connection.WriteAsync("ab"u8.ToArray(), limit.Token);
            await SayUntilHeardAsync(output.Writer, connection, limit.Token);
        }

        Assert.Equal("abab", await typed.Task.WaitAsync(limit.Token));
    }

    private static async Task<NetworkStream> ConnectAsync(string path, CancellationToken cancellation)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
        return new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>What the port says before the connection is accepted is forgotten.</summary>
    private static async Task SayUntilHeardAsync(PipeWriter port, NetworkStream connection, CancellationToken cancellation)
    {
        byte[] heard = new byte[1];
        Task<int> hearing = connection.ReadAsync(heard, cancellation).AsTask();
        while (!hearing.IsCompleted)
        {
            await port.WriteAsync("x"u8.ToArray(), cancellation);
            await Task.WhenAny(hearing, Task.Delay(TimeSpan.FromMilliseconds(10), cancellation));
        }

        Assert.Equal(1, await hearing);
        Assert.Equal((byte)'x', heard[0]);
    }
}
