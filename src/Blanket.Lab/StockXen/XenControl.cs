using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Threading.Channels;
using System.Threading.Tasks;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Lab.StockXen;

/// <summary>The line to dom0's script: a word goes there, <c>done WORD STATUS</c> comes back.</summary>
internal sealed class XenControl
{
    private const int BufferSize = 1024;

    private readonly VirtualMachine _machine;
    private readonly Channel<string> _answers = Channel.CreateUnbounded<string>();

    internal XenControl(VirtualMachine machine)
    {
        _machine = machine;
        Finished = PumpAsync();
    }

    /// <summary>Completes when the machine has ended.</summary>
    internal Task Finished { get; }

    /// <summary>Sends a word and waits for the answer.</summary>
    /// <returns>The exit status; null when the machine ended.</returns>
    internal async Task<int?> ActAsync(string word)
    {
        string expected = $"done {word.Split(' ')[0]} ";
        await XenBed.SendAsync(_machine, word).ConfigureAwait(false);
        await foreach (string line in _answers.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            if (line.StartsWith(expected, StringComparison.Ordinal)
                && int.TryParse(line.AsSpan(expected.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int status))
            {
                return status;
            }
        }

        return null;
    }

    private async Task PumpAsync()
    {
        LineSplitter lines = new();
        byte[] buffer = new byte[BufferSize];
        try
        {
            Stream line = _machine.Console(XenBed.ControlPort);
            for (int count = await line.ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await line.ReadAsync(buffer).ConfigureAwait(false))
            {
                foreach (string answer in lines.Add(buffer.AsSpan(0, count)))
                {
                    _answers.Writer.TryWrite(answer);
                }
            }
        }
        catch (Exception e) when (e is ObjectDisposedException || (e is IOException && e.InnerException is SocketException))
        {
            // The machine was ended.
        }

        _answers.Writer.TryComplete();
    }
}
