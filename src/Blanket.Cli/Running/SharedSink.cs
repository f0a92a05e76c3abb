using System;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>A sink of several consoles, one write after the other: the last of a guest's output may still come while a guest of the same name begins.</summary>
/// <param name="sink">Where it all goes.</param>
internal sealed class SharedSink(IConsoleSink sink) : IConsoleSink
{
    private readonly SemaphoreSlim _turn = new(1);

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            await sink.WriteAsync(bytes).ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }
}
