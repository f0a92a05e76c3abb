using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.IO.Pipelines;
using System.Linq;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Runs;

namespace Blanket.Lab.StockXen;

/// <summary>
/// A line that several consoles share, as one stream each. Every stream has to be read: one that is full holds up the others. Consoles that come later
/// are sinks.
/// </summary>
internal sealed class SharedConsole : IConsoleLine
{
    private const int BufferSize = 16 << 10;

    private readonly Stream _line;
    private readonly Dictionary<uint, Pipe> _pipes;
    private readonly ConcurrentDictionary<uint, IConsoleSink> _sinks = new();
    private readonly SemaphoreSlim _writing = new(1);

    /// <summary>Starts to read the line.</summary>
    /// <param name="line">The line.</param>
    /// <param name="ports">What is for other ports is forgotten.</param>
    /// <param name="firstPort">The port of what comes before the first sequence.</param>
    internal SharedConsole(Stream line, IEnumerable<uint> ports, uint firstPort)
    {
        _line = line;
        _pipes = ports.ToDictionary(port => port, _ => new Pipe());
        Streams = _pipes.ToDictionary(pair => pair.Key, pair => (Stream)new PortStream(pair.Value.Reader.AsStream(), bytes => SendAsync(pair.Key, bytes)));
        Finished = PumpAsync(new ConsoleSplitter(firstPort));
    }

    /// <summary>The consoles by port.</summary>
    internal IReadOnlyDictionary<uint, Stream> Streams { get; }

    /// <summary>Completes when the line has ended.</summary>
    internal Task Finished { get; }

    /// <inheritdoc/>
    public void Connect(uint port, IConsoleSink? sink)
    {
        if (sink is not null)
        {
            _sinks[port] = sink;
        }
        else
        {
            _sinks.TryRemove(port, out _);
        }
    }

    /// <inheritdoc/>
    public Stream Keys(uint port) => new PortStream(Stream.Null, bytes => SendAsync(port, bytes));

    private async Task PumpAsync(ConsoleSplitter splitter)
    {
        byte[] buffer = new byte[BufferSize];
        List<(uint Port, ReadOnlyMemory<byte> Bytes)> runs = [];
        for (int count = await ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await ReadAsync(buffer).ConfigureAwait(false))
        {
            runs.Clear();
            splitter.Add(buffer.AsMemory(0, count), (port, bytes) => runs.Add((port, bytes)));
            foreach ((uint port, ReadOnlyMemory<byte> bytes) in runs)
            {
                if (_pipes.TryGetValue(port, out Pipe? pipe))
                {
                    await pipe.Writer.WriteAsync(bytes).ConfigureAwait(false);
                }
                else if (_sinks.TryGetValue(port, out IConsoleSink? sink))
                {
                    await sink.WriteAsync(bytes).ConfigureAwait(false);
                }
            }
        }

        foreach (Pipe pipe in _pipes.Values)
        {
            await pipe.Writer.CompleteAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Reads; a connection that a killed QEMU reset has ended like any other.</summary>
    private async Task<int> ReadAsync(byte[] buffer)
    {
        try
        {
            return await _line.ReadAsync(buffer).ConfigureAwait(false);
        }
        catch (IOException e) when (e.InnerException is SocketException)
        {
            return 0;
        }
    }

    private async Task SendAsync(uint port, ReadOnlyMemory<byte> bytes)
    {
        await _writing.WaitAsync().ConfigureAwait(false);
        try
        {
            await _line.WriteAsync(ConsoleLine.Frame(port, bytes.Span)).ConfigureAwait(false);
        }
        finally
        {
            _writing.Release();
        }
    }
}
