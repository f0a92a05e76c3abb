using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>Shows one of several consoles on a terminal and sends the user's keys to it.</summary>
internal sealed class ConsoleSwitcher
{
    private const int KeysInFlight = 256;

    private readonly Stream _output;
    private readonly List<Entry> _entries = [];
    private readonly SemaphoreSlim _turn = new(1);
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _current;

    internal ConsoleSwitcher(Stream output) => _output = output;

    /// <summary>Completes when the user wants to leave.</summary>
    internal Task Left => _left.Task;

    /// <summary>Adds a console. The first one is the log; the second, if there is one, is what the user sees at first.</summary>
    internal Entry Add(string name)
    {
        Entry entry = new(this, name);
        _entries.Add(entry);
        _current = Math.Min(1, _entries.Count - 1);
        return entry;
    }

    /// <summary>Reads keys until the input ends or the user leaves.</summary>
    internal async Task ReadKeysAsync(Stream input)
    {
        KeyInterpreter interpreter = new();
        byte[] buffer = new byte[KeysInFlight];
        for (int count = await input.ReadAsync(buffer).ConfigureAwait(false); count > 0; count = await input.ReadAsync(buffer).ConfigureAwait(false))
        {
            foreach (KeyCommand command in interpreter.Interpret(buffer.AsSpan(0, count)))
            {
                await ObeyAsync(command).ConfigureAwait(false);
            }
        }

        _left.TrySetResult();
    }

    /// <summary>Shows a line of the command's own on the terminal.</summary>
    internal async Task SayAsync(string text)
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            await WriteNoteAsync(text).ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }

    private Task ObeyAsync(KeyCommand command)
    {
        switch (command.Action)
        {
            case KeyAction.Send:
                _entries[_current].Keys.Writer.TryWrite(command.Value);
                return Task.CompletedTask;
            case KeyAction.Switch:
                return ShowAsync(command.Value);
            case KeyAction.Next:
                return ShowAsync((_current + 1) % _entries.Count);
            case KeyAction.Leave:
                _left.TrySetResult();
                return Task.CompletedTask;
            default:
                return SayAsync(KeyInterpreter.Help);
        }
    }

    private async Task ShowAsync(int index)
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            if (index >= _entries.Count)
            {
                await WriteNoteAsync($"there is no console {index}").ConfigureAwait(false);
                return;
            }

            _current = index;
            await WriteNoteAsync($"console {index}: {_entries[index].Name}").ConfigureAwait(false);
            await _output.WriteAsync(_entries[index].Past.ToArray()).ConfigureAwait(false);
            await _output.FlushAsync().ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task WriteNoteAsync(string text)
    {
        await _output.WriteAsync(Encoding.UTF8.GetBytes($"\r\n[{text}]\r\n")).ConfigureAwait(false);
        await _output.FlushAsync().ConfigureAwait(false);
    }

    /// <summary>One console.</summary>
    internal sealed class Entry(ConsoleSwitcher owner, string name) : IConsoleSink
    {
        internal string Name => name;

        internal Scrollback Past { get; } = new();

        /// <summary>Keys on their way; a guest that does not read loses keys and does not block the user.</summary>
        internal Channel<byte> Keys { get; } = Channel.CreateBounded<byte>(new BoundedChannelOptions(KeysInFlight) { FullMode = BoundedChannelFullMode.DropWrite });

        public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
        {
            await owner._turn.WaitAsync().ConfigureAwait(false);
            try
            {
                Past.Add(bytes.Span);
                if (owner._entries[owner._current] == this)
                {
                    await owner._output.WriteAsync(bytes).ConfigureAwait(false);
                    await owner._output.FlushAsync().ConfigureAwait(false);
                }
            }
            finally
            {
                owner._turn.Release();
            }
        }

        /// <summary>Sends the user's keys to the machine until the machine or the run ends.</summary>
        internal async Task SendKeysAsync(Stream machine, CancellationToken cancellation)
        {
            try
            {
                await foreach (byte key in Keys.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
                {
                    await machine.WriteAsync(new[] { key }, cancellation).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or ObjectDisposedException)
            {
                // The run is over; nobody is there to type for.
            }
        }
    }
}
